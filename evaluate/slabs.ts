// Divides a set of features into slabs of rows that the device can bind, and checks such sets.

import { numbersOf } from '../kernels/numbers.ts'
import { type Values, ShapeError } from '../kernels/op.ts'
import { checkValue, isTensor, rule } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'

const BYTES = 128 * 2 ** 20 // most bytes of a slab: every WebGPU adapter binds as many
/** Most rows of a slab: up to here an index is exact as f32. */
export const MOST_ROWS = 2 ** 24

/** Returns the number of rows of D numbers that the device can bind, at most 128 MiB. */
export const slabRows = ({ device }: Gpu, D: number): number =>
  Math.max(
    1,
    Math.min(
      MOST_ROWS,
      Math.floor(Math.min(BYTES, device.limits.maxStorageBufferBindingSize) / (4 * D)),
    ),
  )

/** Divides M rows into the fewest slabs of at most `most` rows, as equal as possible. */
export function slabsOf(M: number, most: number): (readonly [start: number, end: number])[] {
  const count = Math.ceil(M / most)
  const at = (i: number) => Math.floor((i * M) / count)
  return Array.from({ length: count }, (_, i) => [at(i), at(i + 1)] as const)
}

/** M features of D numbers on the host, as `embed` returns them. */
export interface Embeddings {
  /** [M, D], in row-major order. */
  readonly features: Float32Array
  readonly M: number
  readonly D: number
}

/** M features of D numbers on the host, in an array of any kind. */
export interface FeatureRows {
  /** M D numbers, in row-major order. */
  readonly features: Values
  readonly M: number
  readonly D: number
}

/** Rows [M, D] on the host: all at once, or an iterable of parts. */
export type Rows = FeatureRows | AsyncIterable<FeatureRows> | Iterable<FeatureRows>

const isRows = (v: unknown): v is FeatureRows =>
  typeof v === 'object' && v !== null && 'M' in v && 'D' in v && 'features' in v

/** Tells whether features on the host are all there, not in parts. */
export const isHostRows = (features: object): features is FeatureRows => isRows(features)

const isParts = (v: unknown) =>
  typeof v === 'object' &&
  v !== null &&
  (Symbol.asyncIterator in v || (Symbol.iterator in v && (!Array.isArray(v) || v.every(isRows)))) &&
  !ArrayBuffer.isView(v)

const rowsRule = rule('{ features, M, D }, as embed returns', isRows)
/** Rule of features that are searched. */
export const bankRule = rule(
  'a tensor [M, D], or what embed or embedSlabs returns',
  (v) => isTensor(v) || isRows(v) || isParts(v),
)
const askedRule = rule('a tensor [Q, D], or what embed returns', (v) => isTensor(v) || isRows(v))

/** Throws TypeError, whose message begins with `owner`, unless both are features. */
export function checkFeatures(owner: string, features: unknown, queries: unknown) {
  checkValue(owner, 'features', features, bankRule)
  checkQueries(owner, queries)
}

/** Throws TypeError, whose message begins with `owner`, unless these are features. */
export const checkQueries = (owner: string, queries: unknown) =>
  checkValue(owner, 'queries', queries, askedRule)

/** Converts rows to f32. Throws TypeError for anything but numbers, RangeError for numbers beyond
 *  f32, ShapeError unless there are M rows of D. Messages begin with `owner`. */
export function hostRows(owner: string, what: string, given: FeatureRows): Embeddings {
  const { features, M, D } = checkValue(owner, what, given, rowsRule)
  const { data } = numbersOf(`${owner}: ${what}`, features, undefined, 'f32')
  const isWhole = Number.isInteger(M) && Number.isInteger(D) && M >= 0 && D >= 0
  if (!(isWhole && data.length === M * D))
    throw new ShapeError(
      `${owner}: ${what} [M, D] must hold M D numbers, got ${data.length} for [${M}, ${D}]`,
    )
  return { features: data as Float32Array, M, D } // numbersOf was asked for f32
}

/** Throws Error, whose message begins with `owner`, for a number that is infinite or NaN. */
export function checkFinite(owner: string, numbers: Float32Array) {
  for (let i = 0; i < numbers.length; i++)
    if (!Number.isFinite(numbers[i]))
      throw new Error(`${owner}: features or queries are not finite; the encoder has diverged`)
}

/** Throws RangeError when classes x width floats exceed the device's largest buffer binding. The
 *  message begins with `owner`. */
export function checkClasses(owner: string, { device }: Gpu, classes: number, width: number) {
  const most = Math.floor(device.limits.maxStorageBufferBindingSize / (4 * width))
  if (classes > most)
    throw new RangeError(
      `${owner}: there can be ${most} classes at most on this device, got ${classes}; number them from 0 on, without gaps`,
    )
}
