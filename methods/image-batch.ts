// What a method's step is given for a batch, and whole sets of images on the GPU, of which a step
// is given numbers only.

import type { IndexList } from '../kernels/wgsl/indices.ts'
import { integersOf } from '../kernels/numbers.ts'
import { type Shape, type Tensor, type Values, type Variable, dim } from '../kernels/op.ts'
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
import { type Cut, type Pixels, cutPixels } from './chunks.ts'

/** Height and width of each image [N, 2], from its upper left corner on, of images of several
 *  sizes in one tensor. */
export interface Extended {
  readonly extents?: Float32Array
}

/** Images [N, H, W, 3]: on the GPU already, pixels to upload, a batch as `batches` of a data set
 *  yields it, or the numbers [N] of images of a set on the GPU. */
export type ImageBatch =
  | Tensor
  | (Pixels & Extended)
  | (Yielded & Extended)
  | ({ readonly set: Variable; readonly indices: IndexList } & Extended)

/** What `batches` of a data set yields. */
export interface Yielded {
  readonly images: Values
  readonly shape: Shape
}

/** The positions in the data set, [N], of a batch that tells them. */
export const indicesOf = (batch: ImageBatch): IndexList | undefined =>
  'indices' in batch ? batch.indices : undefined

/** The labels, [N], of a batch that tells them; -1 where unknown. */
export const labelsOf = (batch: ImageBatch): IndexList | null | undefined =>
  'labels' in batch ? (batch.labels as IndexList | null) : undefined // of a data set's batch

/** The batch as a captured step takes it: pixels by the chunk, and extents behind all else. Throws
 *  TypeError for what is no batch, RangeError for an index outside the set, for f32 pixels that are
 *  not in [0, 1] and for a wrong number of extents, and ShapeError. */
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

function numbered(
  method: string,
  { set, indices }: { readonly set: Variable; readonly indices: IndexList },
): Upload {
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

/** The images of such a batch within the step, [N, H, W, 3] in one tensor or in several. */
export const imagesOf = (batch: readonly Tensor[]): readonly Tensor[] => {
  const [given, set] = batch
  if (given && set && given.dtype === 'i32') return [takeImages(set, given)]
  return extentsOf(batch) ? batch.slice(0, -1) : batch
}

/** The extents [N, 2] of such a batch, or null: they stand behind all else. */
export function extentsOf(batch: readonly Tensor[]): Tensor | null {
  const last = batch.at(-1)
  return batch.length > 1 && last?.shape.length === 2 ? last : null
}

/** How many images there are in a batch that `inputsOf` takes. */
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

/** Bytes of the set, and the most that a set on the GPU may have: what the adapter binds at
 *  once. */
export function residentBytes(gpu: Gpu, source: Omit<ImageSource, 'read'>) {
  const { device } = checkValue('residentBytes', 'gpu', gpu, onGpu)
  const set = having('a data set, one half of a split', 'image', 'size')
  const { size, image } = checkValue('residentBytes', 'source', source, set)
  const bytes = size * image.height * image.width * image.channels
  return { bytes, most: device.limits.maxStorageBufferBindingSize }
}

/** The whole set on the GPU, u8 [size, H, W, 3], read and uploaded once. Throws Error when it is
 *  larger than what the adapter binds at once, and what `read` throws. */
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
