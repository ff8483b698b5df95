// A batch of images in chunks that fit the GPU.

import { type Numbers, isFloats, numbersOf } from '../kernels/numbers.ts'
import { type Shape, type Tensor, type Values, ShapeError, dim, sizeOf } from '../kernels/op.ts'
import { slice } from '../kernels/slice.ts'
import type { Upload } from '../engine/capture-inputs.ts'
import { checkSizes } from '../models/sizes.ts'

/** Some images of a batch. */
export interface Chunk {
  /** The images [n, H, W, 3]: cut out of the batch where they are wanted, so that they need not be kept. */
  readonly images: () => Tensor
  /** What of them is filled [n, 2], cut out likewise; null where that is all. */
  readonly extents: () => Tensor | null
  /** The number that the first of them has in the batch. */
  readonly offset: number
}

/** How a batch is cut. */
export interface Cut {
  /** Images of a chunk, at most. */
  readonly most: number
  /** A chunk's images are a multiple of this many. */
  readonly unit: number
}

/** The cut of a method that was given this chunk, null for none, and takes batch norm over that many splits. Throws RangeError for
 *  a chunk or splits that are no count, and for a chunk smaller than the splits. */
export function cutOf(method: string, chunk: number | null, splits: number): Cut {
  checkSizes(method, { splits })
  if (chunk !== null && (!Number.isInteger(chunk) || chunk < 1))
    throw new RangeError(`${method}: chunk must be a whole number of images from 1 on, got ${chunk}`)
  if (chunk !== null && chunk < splits)
    throw new RangeError(
      `${method}: each chunk is split for batch norm, so chunk must be at least the ${splits} splits, got ${chunk}`,
    )
  return { most: chunk ?? Infinity, unit: splits }
}

/** Where the fewest such chunks of N images begin and end. They are as equal as can be, so that statistics of a chunk are of
 *  as many images in each; the last one has what does not divide into units. */
export function evenly(N: number, { most, unit }: Cut): readonly (readonly [start: number, end: number])[] {
  const units = Math.floor(N / unit)
  const count = Math.max(1, Math.ceil(units / Math.floor(most / unit)))
  const edge = (i: number) => (i < count ? unit * Math.floor((i * units) / count) : N)
  return Array.from({ length: count }, (_, i) => [edge(i), edge(i + 1)] as const)
}

/** Images [N, H, W, C] to upload: whole numbers from 0 to 255 in any array, or f32 in a typed
 *  array of floats. */
export interface Pixels {
  readonly pixels: Values
  /** The pixels' own unless given. */
  readonly shape?: Shape
}

/** The images' numbers, u8, or f32 where they are given so. Throws ShapeError, and RangeError
 *  for what is no byte. */
export function pixelsOf(method: string, { pixels, shape }: Pixels): Numbers {
  const type = isFloats(pixels) ? 'f32' : 'u8'
  const numbers = numbersOf(`${method}: pixels`, pixels, shape, type)
  if (numbers.shape.length > 0) return numbers
  throw new ShapeError(`${method}: pixels must be images [N, H, W, C], got a number`)
}

/** Such images as an upload for each chunk, so that no tensor need hold the batch. Throws like
 *  `pixelsOf`. */
export function cutPixels(method: string, pixels: Pixels, cut: Cut): Upload[] {
  const { data, shape } = pixelsOf(method, pixels)
  const [N = 0, ...image] = shape
  return evenly(N, cut).map(([start, end]) => ({
    values: data.subarray(start * sizeOf(image), end * sizeOf(image)),
    shape: [end - start, ...image],
  }))
}

/** The chunks of a batch [N, H, W, 3] that lies in one tensor or several, with the extents [N,
 *  2] of all its images. */
export function chunksOf(
  batch: readonly Tensor[],
  cut: Cut,
  extents: Tensor | null = null,
): readonly Chunk[] {
  let first = 0
  return batch.flatMap((x) => {
    const N = dim(x.shape, 0)
    const before = first
    first += N
    return evenly(N, cut).map(([start, end]): Chunk => {
      const images = () => (end - start < N ? slice(x, 0, start, end) : x)
      const [from, to] = [before + start, before + end]
      const all = extents !== null && from === 0 && to === dim(extents.shape, 0)
      return {
        images,
        extents: () => (extents === null || all ? extents : slice(extents, 0, from, to)),
        offset: from,
      }
    })
  })
}
