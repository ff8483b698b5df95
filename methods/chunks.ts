// A batch of images in chunks that fit the GPU.

import { type Tensor, dim, sizeOf } from '../kernels/op.ts'
import { slice } from '../kernels/slice.ts'
import type { Upload } from '../engine/capture.ts'

/** Some images of a batch. */
export interface Chunk {
  /** The images [n, H, W, 3]: cut out of the batch where they are wanted, so that they need not be kept. */
  readonly images: () => Tensor
  /** The number that the first of them has in the batch. */
  readonly offset: number
}

/** Where the fewest chunks of at most `most` of N images begin and end. They are as equal as can be, so that statistics of
 *  a chunk are of as many images in each. */
export function evenly(N: number, most: number): readonly (readonly [start: number, end: number])[] {
  const count = Math.max(1, Math.ceil(N / most))
  const edge = (i: number) => Math.floor((i * N) / count)
  return Array.from({ length: count }, (_, i) => [edge(i), edge(i + 1)] as const)
}

/** u8 images [N, H, W, 3] to upload. */
export interface Pixels {
  readonly pixels: Uint8Array
  readonly shape: readonly number[]
}

/** Such images as uploads of at most `most` images each, so that no tensor need hold the batch. */
export function cutPixels({ pixels, shape }: Pixels, most: number): Upload[] {
  const [N = 0, ...image] = shape
  const edges = evenly(N, most)
  return edges.map(([start, end], i) => {
    const last = i === edges.length - 1 ? pixels.length : end * sizeOf(image) // a wrong count is then told
    return { values: pixels.subarray(start * sizeOf(image), last), shape: [end - start, ...image] }
  })
}

/** The chunks of at most `most` images of a batch [N, H, W, 3] that lies in one tensor or several. */
export function chunksOf(batch: readonly Tensor[], most: number): readonly Chunk[] {
  let first = 0
  return batch.flatMap((x) => {
    const N = dim(x.shape, 0)
    const before = first
    first += N
    return evenly(N, most).map(([start, end]): Chunk => {
      const images = () => (end - start < N ? slice(x, 0, start, end) : x)
      return { images, offset: before + start }
    })
  })
}
