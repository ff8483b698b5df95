// A batch of images in chunks that fit the GPU.

import { type Numbers, isFloats, numbersOf } from '../kernels/numbers.ts'
import {
  type Shape,
  type Tensor,
  type Values,
  ShapeError,
  dim,
  show,
  sizeOf,
} from '../kernels/op.ts'
import { describe } from '../kernels/options.ts'
import { slice } from '../kernels/shape/slice.ts'
import type { Upload } from '../engine/capture/inputs.ts'
import { checkSizes } from '../models/sizes.ts'

/** Some images of a batch. */
export interface Chunk {
  /** The images [n, H, W, 3]: cut out of the batch where they are wanted, so that they need not be
   *  kept. */
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

/** The cut of a method that was given this chunk, null for none, and takes batch norm over that
 *  many splits. Throws RangeError for a chunk or splits that are no count, and for a chunk smaller
 *  than the splits. */
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

/** Where the fewest such chunks of N images begin and end. They are as equal as can be, so that
 *  statistics of a chunk are of as many images in each; the last one has what does not divide into
 *  units. */
export function evenly(
  N: number,
  { most, unit }: Cut,
): readonly (readonly [start: number, end: number])[] {
  const units = Math.floor(N / unit)
  const count = Math.max(1, Math.ceil(units / Math.floor(most / unit)))
  const edge = (i: number) => (i < count ? unit * Math.floor((i * units) / count) : N)
  return Array.from({ length: count }, (_, i) => [edge(i), edge(i + 1)] as const)
}

/** Images [N, H, W, 3] to upload: whole numbers from 0 to 255 in any array, or f32 in [0, 1] in a
 *  typed array of floats. */
export interface Pixels {
  readonly pixels: Values
  /** The pixels' own unless given. */
  readonly shape?: Shape
}

/** The images' numbers, u8, or f32 where they are given so. Throws ShapeError, RangeError for what
 *  is no byte and for f32 that are not in [0, 1], and TypeError for none. */
export function pixelsOf(method: string, { pixels, shape }: Pixels): Numbers {
  if (typeof pixels === 'object' && pixels?.length === 0)
    throw new TypeError(
      `${method}: the batch has no pixels; give { set, indices } for images on the GPU, or read them with pixels: true`,
    )
  const type = isFloats(pixels) ? 'f32' : 'u8'
  const numbers = numbersOf(`${method}: pixels`, pixels, shape, type)
  if (numbers.shape.length < 2)
    throw new ShapeError(
      `${method}: pixels must be images [N, H, W, 3], got ${show(numbers.shape)}; give their shape`,
    )
  checkBrightness(method, numbers)
  return numbers
}

const MOST_BRIGHT = 1.5
const SAMPLE = 256

function checkBrightness(method: string, { data, dtype }: Numbers) {
  if (dtype !== 'f32') return
  const step = Math.floor(data.length / SAMPLE) | 1
  for (let i = 0; i < data.length; i += step)
    if ((data[i] ?? 0) > MOST_BRIGHT)
      throw new RangeError(
        `${method}: f32 pixels must be in [0, 1], got ${data[i]}; divide them by 255, or give them as a Uint8Array`,
      )
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
