// Reads the JSON header of a safetensors file, and checks all that the format demands: each name
// once, shapes and bytes that agree, and data without gaps or overlaps.

import { repeatedName } from './repeated-name.ts'
import { printable } from '../kernels/printable.ts'
import { type Shape, sizeOf } from '../kernels/op.ts'

/** The header's entry of one tensor. */
export interface HeaderEntry {
  readonly dtype: string
  readonly shape: Shape
  /** The range of its data, in bytes after the header. */
  readonly begin: number
  readonly end: number
}

export interface Header {
  readonly entries: ReadonlyMap<string, HeaderEntry>
  readonly metadata: Readonly<Record<string, string>>
}

const METADATA = '__metadata__'
const widths: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2, I32: 4, I64: 8, U8: 1 }
const DAMAGED = 'the file is damaged or not safetensors'

/** Reads the header in `bytes`, of a file with `size` bytes of data after it. Throws Error that
 *  begins with `name` and names the tensor. */
export function readHeader(bytes: Uint8Array, size: number, name: string): Header {
  const header = parse(bytes, name)
  const entries = new Map<string, HeaderEntry>()
  let metadata: Record<string, string> = {}
  for (const [key, value] of Object.entries(header))
    if (key === METADATA) metadata = metadataOf(value, name)
    else entries.set(key, entryOf(value, `${name}: ${printable(key)}`))
  checkExtent(entries, size, name)
  return { entries, metadata }
}

function parse(bytes: Uint8Array, name: string): Record<string, unknown> {
  let text = ''
  let header: unknown = null
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    header = JSON.parse(text)
  } catch (cause) {
    throw new Error(`${name}: the header is not JSON; ${DAMAGED}`, { cause })
  }
  if (!isObject(header)) throw new Error(`${name}: the header is not a JSON object; ${DAMAGED}`)
  const twice = repeatedName(text)
  if (twice !== null)
    throw new Error(
      `${name}: the header must have each name once, has '${printable(twice.name)}' twice; ${DAMAGED}`,
    )
  return header
}

function metadataOf(value: unknown, name: string): Record<string, string> {
  const wrong = isObject(value)
    ? Object.entries(value).find(([, text]) => typeof text !== 'string')
    : null
  if (isObject(value) && !wrong) return value as Record<string, string> // every value was checked
  const got = wrong ? `${JSON.stringify(wrong[1])} for '${printable(wrong[0])}'` : kindOf(value)
  throw new Error(`${name}: ${METADATA} must be an object of texts, got ${got}; ${DAMAGED}`)
}

function entryOf(value: unknown, what: string): HeaderEntry {
  if (!isObject(value))
    throw new Error(`${what} is not described by dtype, shape and data_offsets; ${DAMAGED}`)
  const { dtype, shape, data_offsets: offsets } = value
  const need = (field: string, rule: string, got: unknown) =>
    new Error(`${what}: ${field} must be ${rule}, got ${shown(got)}; ${DAMAGED}`)
  if (typeof dtype !== 'string') throw need('dtype', 'a text', dtype)
  if (!areCounts(shape)) throw need('shape', 'a list of whole numbers from 0 on', shape)
  if (!areCounts(offsets) || offsets.length !== 2)
    throw need('data_offsets', 'two whole numbers from 0 on', offsets)
  const [begin = 0, end = 0] = offsets
  if (begin > end) throw need('data_offsets', 'a begin and an end not before it', offsets)
  const width = Object.hasOwn(widths, dtype) ? widths[dtype] : undefined
  if (width === undefined)
    throw new Error(
      `${what}: dtype ${printable(dtype)} is not supported; F32, F16, BF16, I32, I64 and U8 are`,
    )
  const values = (end - begin) / width
  if (!Number.isInteger(values))
    throw new Error(
      `${what}: its ${end - begin} bytes must be whole values of ${dtype}, ${width} bytes each; ${DAMAGED}`,
    )
  if (values !== sizeOf(shape))
    throw new Error(`${what}: ${values} values for shape [${shape.join(', ')}]`)
  return { dtype, shape, begin, end }
}

/** Throws unless the tensors lie one after another and fill the data. */
function checkExtent(entries: ReadonlyMap<string, HeaderEntry>, size: number, name: string) {
  for (const [key, { end }] of entries)
    if (end > size)
      throw new Error(
        `${name}: ${printable(key)}: its data ends at byte ${end}, the file has ${size}; the file is truncated`,
      )
  const inOrder = [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)
  let [before, at] = ['the header', 0]
  for (const [key, { begin, end }] of inOrder) {
    const what = `${name}: ${printable(key)}: its data begins at byte ${begin}`
    if (begin < at)
      throw new Error(
        `${what} and overlaps that of ${before}, which ends at byte ${at}; ${DAMAGED}`,
      )
    if (begin > at)
      throw new Error(`${what}, ${begin - at} bytes after the end of ${before}: a gap; ${DAMAGED}`)
    before = printable(key)
    at = end
  }
  if (at < size)
    throw new Error(
      `${name}: ${size - at} bytes follow the data of ${before}, the last; ${DAMAGED}`,
    )
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const areCounts = (list: unknown): list is readonly number[] =>
  Array.isArray(list) && list.every((n) => Number.isSafeInteger(n) && n >= 0)

const kindOf = (value: unknown) =>
  value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`

/** Prints a JSON value, cut to a readable length. */
const shown = (value: unknown) => printable((JSON.stringify(value) ?? 'nothing').slice(0, 60))
