// Sets of features larger than what a device binds at once: slabs of rows that it does.

import { ShapeError } from '../kernels/op.ts'
import { checkValue, isTensor, rule } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'

const BYTES = 128 * 2 ** 20 // of a slab at most: what every WebGPU adapter binds
const ROWS = 2 ** 24 // of a slab at most: a position in it is then exact as f32

/** Rows of D numbers in one slab, as many as are bound at once. */
export const slabRows = ({ device }: Gpu, D: number): number =>
  Math.max(
    1,
    Math.min(ROWS, Math.floor(Math.min(BYTES, device.limits.maxStorageBufferBindingSize) / (4 * D))),
  )

/** Where the fewest slabs of at most `most` of M rows begin and end, as equal as can be. */
export function slabsOf(M: number, most: number): (readonly [start: number, end: number])[] {
  const count = Math.ceil(M / most)
  const at = (i: number) => Math.floor((i * M) / count)
  return Array.from({ length: count }, (_, i) => [at(i), at(i + 1)] as const)
}

interface Rows {
  readonly features: Float32Array
  readonly M: number
  readonly D: number
}

const isRows = (v: unknown): v is Rows =>
  typeof v === 'object' && v !== null && 'M' in v && 'D' in v && 'features' in v && isFloat32(v.features)

const isFloat32 = (v: unknown) => Object.prototype.toString.call(v) === '[object Float32Array]' // of any page

const isParts = (v: unknown) =>
  typeof v === 'object' &&
  v !== null &&
  (Symbol.asyncIterator in v || (Symbol.iterator in v && (!Array.isArray(v) || v.every(isRows)))) &&
  !ArrayBuffer.isView(v)

const rowsRule = rule('{ features, M, D } with features in a Float32Array, as embed returns', isRows)
const bankRule = rule(
  'a tensor [M, D], or what embed or embedSlabs returns',
  (v) => isTensor(v) || isRows(v) || isParts(v),
)
const askedRule = rule('a tensor [Q, D], or what embed returns', (v) => isTensor(v) || isRows(v))

/** Throws TypeError, in the name of `owner`, for what are no features to compare. */
export function checkFeatures(owner: string, features: unknown, queries: unknown) {
  checkValue(owner, 'features', features, bankRule)
  checkValue(owner, 'queries', queries, askedRule)
}

/** Throws TypeError, in the name of `owner`, unless these are rows of numbers, and ShapeError
 *  unless there are M rows of D. */
export function checkRows(owner: string, what: string, given: Rows) {
  const { features, M, D } = checkValue(owner, what, given, rowsRule)
  if (!(Number.isInteger(M) && Number.isInteger(D) && features.length === M * D))
    throw new ShapeError(
      `${owner}: ${what} [M, D] must hold M D numbers, got ${features.length} for [${M}, ${D}]`,
    )
}
