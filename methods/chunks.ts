// A batch of images in chunks that fit the GPU.

import { type Tensor, dim, sizeOf } from '../kernels/op.ts'
import { describe } from '../kernels/options.ts'
import { slice } from '../kernels/slice.ts'
import type { Upload } from '../engine/capture-inputs.ts'
import { checkSizes } from '../models/sizes.ts'

/** Some images of a batch. */
export interface Chunk {
  /** The images [n, H, W, 3]: cut out of the batch where they are wanted, so that they need not be kept. */
  readonly images: () => Tensor
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
    throw new RangeError(
      `${method}: chunk must be a whole number of images from 1 on, got ${describe(chunk)}`,
    )
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

/** Images [N, H, W, 3] to upload, u8, or f32 in [0, 1]. */
export interface Pixels {
  readonly pixels: Uint8Array | Float32Array
  readonly shape: readonly number[]
}

/** Such images as an upload for each chunk, so that no tensor need hold the batch. */
export function cutPixels({ pixels, shape }: Pixels, cut: Cut): Upload[] {
  const [N = 0, ...image] = shape
  const edges = evenly(N, cut)
  return edges.map(([start, end], i) => {
    const last = i === edges.length - 1 ? pixels.length : end * sizeOf(image) // a wrong count is then told
    return { values: pixels.subarray(start * sizeOf(image), last), shape: [end - start, ...image] }
  })
}

/** The chunks of a batch [N, H, W, 3] that lies in one tensor or several. */
export function chunksOf(batch: readonly Tensor[], cut: Cut): readonly Chunk[] {
  let first = 0
  return batch.flatMap((x) => {
    const N = dim(x.shape, 0)
    const before = first
    first += N
    return evenly(N, cut).map(([start, end]): Chunk => {
      const images = () => (end - start < N ? slice(x, 0, start, end) : x)
      return { images, offset: before + start }
    })
  })
}
