// What a method's step is given for a batch, and whole sets of images on the GPU, of which a step is given numbers only.

import { type Tensor, type Variable, dim } from '../kernels/op.ts'
import { checkValue, describe, having, isTensor, onGpu } from '../kernels/options.ts'
import { takeImages } from '../kernels/take-images.ts'
import type { Upload } from '../engine/capture-inputs.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Cut, type Pixels, cutPixels } from './chunks.ts'

/** Images [N, H, W, 3]: on the GPU already, pixels to upload, u8 or f32 in [0, 1], a batch as
 *  `batches` of a data set yields it, or the numbers [N] of images of a set on the GPU. */
export type ImageBatch =
  | Tensor
  | Pixels
  | Yielded
  | { readonly set: Variable; readonly indices: Int32Array | Uint32Array }

/** What `batches` of a data set yields. */
export interface Yielded {
  readonly images: Uint8Array
  readonly shape: readonly number[]
}

/** The positions in the data set, [N], of a batch that tells them. */
export const indicesOf = (batch: ImageBatch): ArrayLike<number> | undefined =>
  (batch as { readonly indices?: Uint32Array }).indices

/** The labels, [N], of a batch that tells them; -1 where unknown. */
export const labelsOf = (batch: ImageBatch): Int32Array | null | undefined =>
  (batch as { readonly labels?: Int32Array | null }).labels

/** The batch as a captured step takes it: pixels by the chunk. Throws TypeError for what is no
 *  batch, and RangeError for f32 pixels that are not in [0, 1]. */
export function inputsOf(method: string, batch: ImageBatch, cut: Cut): (Tensor | Upload)[] {
  const given: unknown = batch
  if (isTensor(given)) return [batch as Tensor]
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw noBatch(method, given)
  if ('set' in batch) return [{ values: batch.indices, shape: [batch.indices.length] }, batch.set]
  const pixels = pixelsOf(method, batch)
  checkBrightness(method, pixels)
  return cutPixels(pixels, cut)
}

function pixelsOf(method: string, batch: object): Pixels {
  const values: unknown = 'pixels' in batch ? batch.pixels : 'images' in batch ? batch.images : null
  if (!isPixels(values) || !('shape' in batch) || !Array.isArray(batch.shape)) throw noBatch(method, batch)
  if (values.length === 0)
    throw new TypeError(
      `${method}: the batch has no pixels; give { set, indices } for images on the GPU, or read them with pixels: true`,
    )
  return { pixels: values, shape: batch.shape as readonly number[] }
}

const isPixels = (values: unknown): values is Pixels['pixels'] =>
  ArrayBuffer.isView(values) && !(values instanceof DataView)

const noBatch = (method: string, given: unknown) =>
  new TypeError(
    `${method}: a batch must be a tensor [N, H, W, 3], { pixels, shape }, a batch of a data set with images and shape, or { set, indices }, got ${describe(given)}`,
  )

const MOST_BRIGHT = 1.5
const SAMPLE = 256

function checkBrightness(method: string, { pixels }: Pixels) {
  if (!(pixels instanceof Float32Array)) return
  const step = Math.floor(pixels.length / SAMPLE) | 1
  for (let i = 0; i < pixels.length; i += step)
    if ((pixels[i] ?? 0) > MOST_BRIGHT)
      throw new RangeError(
        `${method}: f32 pixels must be in [0, 1], got ${pixels[i]}; divide them by 255, or give them as a Uint8Array`,
      )
}

/** The images of such a batch within the step, [N, H, W, 3] in one tensor or in several. */
export const imagesOf = (batch: readonly Tensor[]): readonly Tensor[] => {
  const [given, set] = batch
  return given && set && given.dtype === 'i32' ? [takeImages(set, given)] : batch
}

/** How many images there are. */
export const countOf = (batch: ImageBatch): number =>
  'set' in batch ? batch.indices.length : dim(batch.shape, 0)

/** Images of one size that can be read, as a Dataset's can. */
export interface ImageSource {
  readonly name: string
  readonly size: number
  readonly image: { readonly height: number; readonly width: number; readonly channels: number }
  read(indices: ArrayLike<number>, out: Uint8Array): Promise<void>
}

/** Bytes of the set, and the most that a set on the GPU may have: what the adapter binds at once. */
export function residentBytes(gpu: Gpu, source: Omit<ImageSource, 'read'>) {
  const { device } = checkValue('residentBytes', 'gpu', gpu, onGpu)
  const set = having('a data set, one half of a split', 'image', 'size')
  const { size, image } = checkValue('residentBytes', 'source', source, set)
  const bytes = size * image.height * image.width * image.channels
  return { bytes, most: device.limits.maxStorageBufferBindingSize }
}

/** The whole set on the GPU, u8 [size, H, W, 3], read and uploaded once. Throws Error when it is larger than what the adapter
 *  binds at once, and what `read` throws. */
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
