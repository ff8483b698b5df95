// The chunks of a batch: where each begins and ends.

import { describe } from '../kernels/options.ts'
import { checkSizes } from '../models/sizes.ts'

/** The limits on a batch's chunks. */
export interface Cut {
  /** Images of a chunk, at most. */
  readonly most: number
  /** A chunk's images are a multiple of this many. */
  readonly unit: number
}

/** The cut of a method with this option `chunk` (null: none), whose batch norm has this many
 *  splits. Throws RangeError for a chunk or splits that are no count, and for a chunk smaller than
 *  the splits. */
export function cutOf(method: string, chunk: number | null, splits: number): Cut {
  checkSizes(method, { splits })
  if (chunk !== null && (!Number.isInteger(chunk) || chunk < 1))
    throw new RangeError(
      `${method}: chunk must be a whole number of images from 1 on, got ${describe(chunk)}`,
    )
  if (chunk !== null && chunk < splits)
    throw new RangeError(
      `${method}: each chunk is split for batch norm, so chunk must be at least the ${splits} splits, got ${chunk}`,
    )
  return { most: chunk ?? Infinity, unit: splits }
}

/** Cuts N images into the fewest such chunks, as equal as can be, so that each chunk's statistics
 *  are of about as many images. The last chunk has the rest that does not divide into units. */
export function evenly(
  N: number,
  { most, unit }: Cut,
): readonly (readonly [start: number, end: number])[] {
  const units = Math.floor(N / unit)
  const count = Math.max(1, Math.ceil(units / Math.floor(most / unit)))
  const edge = (i: number) => (i < count ? unit * Math.floor((i * units) / count) : N)
  return Array.from({ length: count }, (_, i) => [edge(i), edge(i + 1)] as const)
}
