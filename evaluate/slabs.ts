// Sets of features larger than what a device binds at once: slabs of rows that it does.

import { ShapeError } from '../kernels/op.ts'
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

/** Throws ShapeError, in the name of `owner`, unless there are M rows of D numbers. */
export function checkRows(
  owner: string,
  what: string,
  { features, M, D }: { readonly features: Float32Array; readonly M: number; readonly D: number },
) {
  if (!(Number.isInteger(M) && Number.isInteger(D) && features.length === M * D))
    throw new ShapeError(
      `${owner}: ${what} [M, D] must hold M D numbers, got ${features.length} for [${M}, ${D}]`,
    )
}
