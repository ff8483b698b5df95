// Numbers as JavaScript gives them: which arrays hold them, and what they become on the GPU.
// Nothing is read as raw bytes: an array of another kind is converted where no value is lost, or
// refused.

import { type Shape, ShapeError, show, sizeOf } from './op.ts'
import { describe, isTensor } from './options.ts'

/** The element types that arrays are converted to. */
export type NumberType = 'f32' | 'i32' | 'u8'

/** Numbers ready for the GPU, in row-major order; `data` may be the caller's own memory. */
export interface Numbers {
  readonly dtype: NumberType
  readonly shape: Shape
  readonly data: Float32Array | Int32Array | Uint8Array
}

const DEEPEST = 64 // arrays within arrays

/** A typed array of any kind. */
type View = ArrayBufferView & ArrayLike<number | bigint>
type Row = View | readonly number[]

/** The dtype that each kind of array stands for. */
const dtypes = new Map<unknown, NumberType>([
  ['Uint8Array', 'u8'],
  ['Uint8ClampedArray', 'u8'],
  ['Float16Array', 'f32'],
  ['Float32Array', 'f32'],
  ['Float64Array', 'f32'],
  ...['Int8', 'Int16', 'Uint16', 'Int32', 'Uint32', 'BigInt64', 'BigUint64'].map(
    (kind) => [`${kind}Array`, 'i32'] as const,
  ),
])

const arrays = { f32: Float32Array, i32: Int32Array, u8: Uint8Array } as const

/** The numbers of a typed array, an array, nested arrays or a number, as `to`, or as the dtype
 *  that their kind stands for; of this shape, or of the one that they have. Throws ShapeError
 *  for a shape that does not fit and for ragged arrays, TypeError for what holds no numbers,
 *  RangeError for a number that would be lost. */
export function numbersOf(
  what: string,
  values: unknown,
  shape?: unknown,
  to?: NumberType,
): Numbers {
  const rows: Row[] = []
  const found = typeof values === 'number' ? scalar(values, rows) : collect(what, values, [], rows)
  const told = shape === undefined ? found : checkShape(what, shape, found)
  const kinds = new Set(rows.map(dtypeOf))
  if (kinds.size > 1)
    throw new TypeError(`${what}: rows must be arrays of one kind, got ${[...kinds].join(' and ')}`)
  const [from = 'f32'] = kinds
  const dtype = to ?? from
  const [only] = rows
  const data = only && rows.length === 1 ? ownMemory(only, dtype) : null
  return { dtype, shape: told, data: data ?? converted(what, rows, dtype, sizeOf(found)) }
}

/** Whole numbers in a flat array of any kind, as f64 or as they are. Throws TypeError for what
 *  holds no numbers, ShapeError for nested arrays. */
export function flatNumbers(what: string, values: unknown): ArrayLike<number> {
  const rows: Row[] = []
  const shape = collect(what, values, [], rows)
  if (shape.length !== 1)
    throw new ShapeError(`${what}: must be a flat array, got one of ${show(shape)}`)
  const [row = []] = rows
  return isBig(row) ? Array.from(row, Number) : (row as ArrayLike<number>) // no kind but these two holds bigints
}

/** Whole numbers in a flat array of any kind, as i32. Throws RangeError for one that is no i32,
 *  and like `flatNumbers`. */
export const integersOf = (what: string, values: unknown): Int32Array =>
  numbersOf(what, flatNumbers(what, values), undefined, 'i32').data as Int32Array // as told

/** Bytes of images in an array of any kind: whole numbers from 0 to 255, as u8. Throws
 *  RangeError for another number, and like `numbersOf`. */
export const bytesOf = (what: string, values: unknown): Uint8Array =>
  numbersOf(what, values, undefined, 'u8').data as Uint8Array // as told

/** Whether this is a typed array of floats. */
export const isFloats = (values: unknown) => isView(values) && dtypes.get(kindOf(values)) === 'f32'

function scalar(value: number, rows: Row[]): Shape {
  rows.push([value])
  return []
}

/** Appends the flat arrays that these consist of, and tells their shape. */
function collect(what: string, values: unknown, at: readonly number[], rows: Row[]): Shape {
  if (isView(values) && dtypes.has(kindOf(values))) {
    if (isDetached(values))
      throw new TypeError(
        `${what}: the array's buffer is detached; was it transferred to a worker? Give a copy`,
      )
    rows.push(values)
    return [values.length]
  }
  if (!Array.isArray(values)) throw new TypeError(`${what}: ${refusal(values, at)}`)
  if (at.length === DEEPEST)
    throw new TypeError(
      `${what}: arrays are nested more than ${DEEPEST} deep; does one hold itself?`,
    )
  const list: readonly unknown[] = values
  if (list.length === 0) return [0]
  if (!isArray(list[0])) {
    rows.push(checkList(what, list, at))
    return [list.length]
  }
  let first: Shape | null = null
  for (let i = 0; i < list.length; i++) {
    const shape = collect(what, list[i], [...at, i], rows)
    first ??= shape
    if (shape.join() !== first.join())
      throw new ShapeError(
        `${what}: nested arrays must have the same sizes, got ${show(first)} and, at ${show([...at, i])}, ${show(shape)}`,
      )
  }
  return [list.length, ...(first ?? [])]
}

/** Whether an array has lost its memory. It has no values then, as an empty one. */
function isDetached({ byteLength, buffer }: View): boolean {
  if (byteLength > 0) return false
  try {
    buffer.slice(0, 0) // throws where it is
    return false
  } catch {
    return true
  }
}

function checkList(
  what: string,
  list: readonly unknown[],
  at: readonly number[],
): readonly number[] {
  for (let i = 0; i < list.length; i++)
    if (typeof list[i] !== 'number') throw new TypeError(`${what}: ${refusal(list[i], [...at, i])}`)
  return list as readonly number[]
}

function checkShape(what: string, shape: unknown, found: Shape): Shape {
  if (!Array.isArray(shape))
    throw new ShapeError(`${what}: the shape must be an array of sizes, got ${describe(shape)}`)
  const sizes: readonly unknown[] = [...(shape as unknown[])]
  if (!sizes.every((size): size is number => Number.isInteger(size) && Number(size) >= 0))
    throw new ShapeError(`${what}: sizes must be whole numbers, got [${sizes.join(', ')}]`)
  if (found.length > 1 && sizes.join() !== found.join())
    throw new ShapeError(
      `${what}: nested arrays of ${show(found)} do not have the shape ${show(sizes)}; leave the shape out`,
    )
  if (sizeOf(found) !== sizeOf(sizes))
    throw new ShapeError(
      `${what}: ${show(sizes)} holds ${sizeOf(sizes)} values, got ${sizeOf(found)}`,
    )
  return sizes
}

/** The array itself, if its elements are of this type already. */
function ownMemory(row: Row, dtype: NumberType): Numbers['data'] | null {
  const kind = isView(row) ? kindOf(row) : null
  if (kind === 'Uint8ClampedArray' && isView(row) && dtype === 'u8')
    return new Uint8Array(row.buffer, row.byteOffset, row.byteLength)
  return kind === arrays[dtype].name ? (row as Numbers['data']) : null // by its kind
}

function converted(
  what: string,
  rows: readonly Row[],
  dtype: NumberType,
  count: number,
): Numbers['data'] {
  const data = new arrays[dtype](count)
  let at = 0
  for (const row of rows) {
    const rounds = dtypeOf(row) === 'f32'
    for (let i = 0; i < row.length; i++) {
      const value = row[i] ?? NaN
      const number = Number(value)
      data[at] = number
      const type = dtype === 'f32' && rounds ? 'rounded' : dtype
      const isKept = type === 'rounded' ? isRounded(number, data[at]) : isSame(value, data[at])
      if (!isKept) throw new RangeError(`${what}: ${value} at ${at} ${losses[type]}`)
      at++
    }
  }
  return data
}

const losses = {
  rounded: 'is beyond the range of f32, 3.4e38',
  f32: 'is not exactly an f32; give floats, which are rounded',
  i32: 'is no i32 (whole numbers from -2147483648 to 2147483647)',
  u8: 'is no u8 (whole numbers from 0 to 255)',
} as const

/** Whether f32 is what a number rounds to, and infinite only where that is. */
const isRounded = (value: number, f32: number | undefined) =>
  Number.isFinite(f32) || !Number.isFinite(value)

const isSame = (value: number | bigint, kept: number | undefined) => value == kept // 3n == 3

const dtypeOf = (row: Row): NumberType => (isView(row) && dtypes.get(kindOf(row))) || 'f32'

const isBig = (row: Row): row is View & ArrayLike<bigint> =>
  isView(row) && ['BigInt64Array', 'BigUint64Array'].includes(kindOf(row))

const isView = (value: unknown): value is View => ArrayBuffer.isView(value)

const isArray = (value: unknown) => Array.isArray(value) || isView(value)

/** A typed array's kind by name, which is the same in arrays of another page or worker. */
const kindOf = (view: ArrayBufferView) =>
  String((view as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag]) // every view has it

function refusal(value: unknown, at: readonly number[]): string {
  const where = at.length > 0 ? ` at ${show(at)}` : ''
  const remedy = remedyFor(value)
  return `values must be numbers in a typed array or in arrays, got ${describe(value)}${where}${remedy ? `; ${remedy}` : ''}`
}

function remedyFor(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null
  const kind = Object.prototype.toString.call(value)
  if (kind.endsWith('ArrayBuffer]') || kind.endsWith('DataView]'))
    return 'say what its bytes are by a typed array, such as new Float32Array(buffer)'
  if (isTensor(value)) return 'a tensor holds its values already, and await gpu.read(it) gives them'
  return 'data' in value && isArray(value.data) ? 'give its data' : null
}
