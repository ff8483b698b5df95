// The batch that a method's step takes: pixels to upload, tensors, or the numbers of images in a
// whole set on the GPU.

import type { IndexList } from '../kernels/wgsl/indices.ts'
import { type Numbers, integersOf, isFloats, numbersOf } from '../kernels/numbers.ts'
import {
  type Shape,
  type Tensor,
  type Values,
  type Variable,
  ShapeError,
  dim,
  show,
  sizeOf,
} from '../kernels/op.ts'
import {
  checkTensor,
  checkValue,
  describe,
  having,
  isTensor as isAnyTensor,
  onGpu,
} from '../kernels/options.ts'
import { takeImages } from '../kernels/shape/take-images.ts'
import type { Upload } from '../engine/capture/inputs.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Cut, evenly } from './chunks.ts'

/** Images [N, H, W, 3] to upload: whole numbers from 0 to 255 in any array, or f32 in [0, 1] in a
 *  typed array of floats. */
interface Pixels {
  readonly pixels: Values
  /** The pixels' own unless given. */
  readonly shape?: Shape
}

/** A batch as `batches` of a data set yields it. */
interface Yielded {
  readonly images: Values
  readonly shape: Shape
}

/** Images of a set on the GPU, by their numbers [N] in it. */
interface Numbered {
  readonly set: Variable
  readonly indices: IndexList
}

/** Facts about a batch's images beside their pixels. */
interface Described {
  /** Height and width of each image [N, 2], from its upper left corner on, where images of several
   *  sizes share a tensor. */
  readonly extents?: Float32Array
  /** The class of each image [N], -1 where unknown; for losses that take labels. */
  readonly labels?: IndexList | null
}

/** Images [N, H, W, 3]: on the GPU already, pixels to upload, a batch as `batches` of a data set
 *  yields it, or the numbers [N] of images of a set on the GPU. */
export type ImageBatch = Tensor | ((Pixels | Yielded | Numbered) & Described)

/** The positions in the data set, [N], of a batch that tells them. */
export const indicesOf = (batch: ImageBatch): IndexList | undefined =>
  'indices' in batch ? batch.indices : undefined

/** The labels, [N], of a batch that tells them; -1 where unknown. */
export const labelsOf = (batch: ImageBatch): IndexList | null | undefined =>
  'labels' in batch ? batch.labels : undefined

/** The inputs of a captured step for a batch: pixels chunk by chunk, then extents. Throws TypeError
 *  for what is no batch, RangeError for an index outside the set, for f32 pixels that are not in
 *  [0, 1] and for a wrong number of extents, and ShapeError. */
export function inputsOf(method: string, batch: ImageBatch, cut: Cut): (Tensor | Upload)[] {
  const given: unknown = batch // plain JavaScript may give anything
  if (
    typeof given !== 'object' ||
    given === null ||
    Array.isArray(given) ||
    ArrayBuffer.isView(given)
  )
    throw noBatch(method, given)
  if (isTensor(batch)) return [batch]
  const inputs = imageInputs(method, batch, cut)
  const { extents } = batch
  if (!extents) return inputs
  const N = countOf(batch)
  if (extents.length !== 2 * N)
    throw new RangeError(
      `extents must be two numbers for each of the ${N} images, got ${extents.length}`,
    )
  return [...inputs, { values: extents, shape: [N, 2] }]
}

function imageInputs(
  method: string,
  batch: Exclude<ImageBatch, Tensor>,
  cut: Cut,
): (Tensor | Upload)[] {
  if ('set' in batch) return [numbered(method, batch), batch.set]
  if ('pixels' in batch) return cutPixels(method, batch, cut)
  if (!('images' in batch)) throw noBatch(method, batch)
  return cutPixels(method, { pixels: batch.images, shape: batch.shape }, cut)
}

const isTensor = (batch: ImageBatch): batch is Tensor => isAnyTensor(batch)

const noBatch = (method: string, given: unknown) =>
  new TypeError(
    `${method}: a batch must be a tensor [N, H, W, 3], { pixels, shape }, a batch of a data set with images and shape, or { set, indices }, got ${describe(given)}`,
  )

function numbered(method: string, { set, indices }: Numbered): Upload {
  checkTensor(method, 'set', set)
  const values = integersOf(`${method}: indices`, indices)
  const size = dim(set.shape, 0)
  const wrong = values.find((index) => index < 0 || index >= size)
  if (wrong !== undefined)
    throw new RangeError(
      `${method}: the set has ${size} images, numbered from 0, got the index ${wrong}`,
    )
  return { values }
}

/** Converts pixels to u8, or to f32 where they are floats. Throws ShapeError, RangeError for what
 *  is no byte and for f32 that are not in [0, 1], and TypeError for none. */
function pixelsOf(method: string, { pixels, shape }: Pixels): Numbers {
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

/** Makes an upload of each chunk, so that no tensor need hold the batch. Throws like `pixelsOf`. */
function cutPixels(method: string, pixels: Pixels, cut: Cut): Upload[] {
  const { data, shape } = pixelsOf(method, pixels)
  const [N = 0, ...image] = shape
  return evenly(N, cut).map(([start, end]) => ({
    values: data.subarray(start * sizeOf(image), end * sizeOf(image)),
    shape: [end - start, ...image],
  }))
}

/** The images [N, H, W, 3] of these inputs, in one tensor or in several. */
export const imagesOf = (batch: readonly Tensor[]): readonly Tensor[] => {
  const [given, set] = batch
  if (given && set && given.dtype === 'i32') return [takeImages(set, given)]
  return extentsOf(batch) ? batch.slice(0, -1) : batch
}

/** The extents [N, 2] of these inputs, the last of them, or null. */
export function extentsOf(batch: readonly Tensor[]): Tensor | null {
  const last = batch.at(-1)
  return batch.length > 1 && last?.shape.length === 2 ? last : null
}

/** Counts the images of a batch that `inputsOf` takes. */
export function countOf(batch: ImageBatch): number {
  if ('set' in batch) return batch.indices.length
  if (batch.shape) return dim(batch.shape, 0)
  return 'pixels' in batch && typeof batch.pixels === 'object' ? batch.pixels.length : 0 // nested arrays
}

/** Images of one size that can be read, as a Dataset's can. */
export interface ImageSource {
  readonly name: string
  readonly size: number
  readonly image: { readonly height: number; readonly width: number; readonly channels: number }
  read(indices: ArrayLike<number>, out: Uint8Array): Promise<void>
}

/** The bytes of a set, and `most`, the largest set that the adapter binds at once. */
export function residentBytes(gpu: Gpu, source: Omit<ImageSource, 'read'>) {
  const { device } = checkValue('residentBytes', 'gpu', gpu, onGpu)
  const set = having('a data set, one half of a split', 'image', 'size')
  const { size, image } = checkValue('residentBytes', 'source', source, set)
  const bytes = size * image.height * image.width * image.channels
  return { bytes, most: device.limits.maxStorageBufferBindingSize }
}

/** Reads and uploads a whole set once -> u8 [size, H, W, 3]. Throws Error when it is larger than
 *  the adapter binds at once, and what `read` throws. */
export async function residentImages(gpu: Gpu, source: ImageSource): Promise<Variable> {
  checkValue(
    'residentImages',
    'source',
    source,
    having('a data set, one half of a split', 'read', 'image', 'size'),
  )
  const { bytes, most } = residentBytes(gpu, source)
  const { name, size, image } = source
  if (bytes > most)
    throw new Error(
      `${name}: the ${size} images have ${bytes} bytes and this adapter binds at most ${most}; stream them instead`,
    )
  const pixels = new Uint8Array(bytes)
  await source.read(
    Uint32Array.from({ length: size }, (_, i) => i),
    pixels,
  )
  return gpu.variable(pixels, [size, image.height, image.width, image.channels])
}
