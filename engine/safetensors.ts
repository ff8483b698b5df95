// The safetensors format (https://github.com/huggingface/safetensors): an 8-byte length, a JSON header, raw little-endian data.

import { checkValue, having, record } from '../kernels/options.ts'
import { type Shape, sizeOf } from '../kernels/op.ts'

/** A named array as it stands in a file. */
export interface SavedTensor {
  readonly shape: Shape
  readonly data: Float32Array | Int32Array | Uint8Array | BigInt64Array
}

export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, SavedTensor>
  readonly metadata: Readonly<Record<string, string>>
}

interface Entry {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data_offsets: readonly [number, number]
}

/** The bytes of a safetensors file. Names keep their order; the data of each tensor is 8-byte aligned. */
export function encodeSafetensors(file: SafetensorsFile): Uint8Array<ArrayBuffer> {
  const parts = having('an object with tensors, a map, and metadata', 'tensors', 'metadata')
  const { tensors, metadata } = checkValue('encodeSafetensors', 'file', file, parts)
  checkValue('encodeSafetensors', 'tensors', tensors, having('a map of tensors', 'get', 'values'))
  checkValue('encodeSafetensors', 'metadata', metadata, record)
  const header: Record<string, unknown> = {}
  if (Object.keys(metadata).length > 0) header['__metadata__'] = metadata
  let end = 0
  for (const [name, { shape, data }] of tensors) {
    if (sizeOf(shape) !== data.length)
      throw new Error(`safetensors: ${name} has ${data.length} values for shape [${shape.join(', ')}]`)
    header[name] = { dtype: dtypeOf(data), shape, data_offsets: [end, end + data.byteLength] }
    end += data.byteLength
  }
  const json = new TextEncoder().encode(JSON.stringify(header))
  const start = 8 + Math.ceil(json.length / 8) * 8
  const bytes = new Uint8Array(start + end)
  bytes.fill(0x20, 8, start) // the header is padded with spaces
  bytes.set(json, 8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true)
  let at = start
  for (const { data } of tensors.values()) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at)
    at += data.byteLength
  }
  return bytes
}

/** The tensors and metadata of a safetensors file. Throws Error naming what is wrong: length, header, offsets or dtype. */
export function decodeSafetensors(file: Uint8Array, name = 'safetensors'): SafetensorsFile {
  const bytes = { words: 'the bytes of a file, a Uint8Array', fits: (v: unknown) => v instanceof Uint8Array }
  checkValue('decodeSafetensors', 'file', file, bytes)
  if (file.length < 8) throw new Error(`${name}: a safetensors file has at least 8 bytes, got ${file.length}`)
  const headerBytes = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true))
  if (headerBytes > file.length - 8)
    throw new Error(
      `${name}: the header claims ${headerBytes} bytes, the file holds ${file.length}; it is truncated or not safetensors`,
    )
  const header = parseHeader(new TextDecoder().decode(file.subarray(8, 8 + headerBytes)), name)
  const data = file.subarray(8 + headerBytes)
  const tensors = new Map<string, SavedTensor>()
  let metadata: Record<string, string> = {}
  for (const [key, value] of Object.entries(header)) {
    if (key === '__metadata__') metadata = value as Record<string, string> // the format: strings to strings
    else if (isEntry(value)) tensors.set(key, decodeTensor(value, data, `${name}: ${key}`))
    else
      throw new Error(
        `${name}: ${key} is not described by dtype, shape and data_offsets; the file is damaged or not safetensors`,
      )
  }
  return { tensors, metadata }
}

function parseHeader(text: string, name: string): Record<string, unknown> {
  let header: unknown = null
  try {
    header = JSON.parse(text)
  } catch (cause) {
    throw new Error(`${name}: the header is not JSON; the file is damaged or not safetensors`, { cause })
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw new Error(`${name}: the header is not a JSON object; the file is damaged or not safetensors`)
  return { ...header }
}

function isEntry(value: unknown): value is Entry {
  const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Partial<Record<keyof Entry, unknown>> // any field may lack
  const counts = (list: unknown) => Array.isArray(list) && list.every((n) => Number.isInteger(n) && n >= 0)
  return typeof dtype === 'string' && counts(shape) && counts(offsets) && (offsets as unknown[]).length === 2
}

function decodeTensor(
  { dtype, shape, data_offsets: [start, end] }: Entry,
  data: Uint8Array,
  what: string,
): SavedTensor {
  if (end > data.length)
    throw new Error(
      `${what}: its data ends at byte ${end}, the file has ${data.length}; the file is truncated`,
    )
  const bytes = new Uint8Array(data.subarray(start, end)).buffer // a copy: data may be a Node Buffer, unaligned
  const values = arrayOf(dtype, bytes)
  if (!values) throw new Error(`${what}: dtype ${dtype} is not supported; F32, I32, I64 and U8 are`)
  if (values.length !== sizeOf(shape))
    throw new Error(`${what}: ${values.length} values for shape [${shape.join(', ')}]`)
  return { shape, data: values }
}

function arrayOf(dtype: string, bytes: ArrayBuffer): SavedTensor['data'] | null {
  if (dtype === 'F32') return new Float32Array(bytes)
  if (dtype === 'I32') return new Int32Array(bytes)
  if (dtype === 'I64') return new BigInt64Array(bytes)
  return dtype === 'U8' ? new Uint8Array(bytes) : null
}

function dtypeOf(data: SavedTensor['data']): string {
  if (data instanceof Float32Array) return 'F32'
  if (data instanceof Int32Array) return 'I32'
  return data instanceof BigInt64Array ? 'I64' : 'U8'
}
