// What a method's step is given for a batch, and whole sets of images on the GPU, of which a step is given numbers only.

import type { IndexList } from '../kernels/indices.ts'
import { describe, integersOf } from '../kernels/numbers.ts'
import { type Tensor, type Variable, dim } from '../kernels/op.ts'
import { takeImages } from '../kernels/take-images.ts'
import type { Upload } from '../engine/capture-inputs.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Cut, type Pixels, cutPixels, pixelsOf } from './chunks.ts'

/** Height and width of each image [N, 2], from its upper left corner on, of images of several
 *  sizes in one tensor. */
export interface Extended {
  readonly extents?: Float32Array
}

/** Images [N, H, W, 3]: on the GPU already, u8 pixels to upload, or the numbers [N] of images of a set on the GPU. */
export type ImageBatch =
  | Tensor
  | (Pixels & Extended)
  | ({ readonly set: Variable; readonly indices: IndexList } & Extended)

/** The batch as a captured step takes it: pixels by the chunk, and extents behind all else. Throws
 *  TypeError for what is no batch, RangeError for an index outside the set or a wrong number of
 *  extents, and ShapeError. */
export function inputsOf(method: string, batch: ImageBatch, cut: Cut): (Tensor | Upload)[] {
  const given: unknown = batch // plain JavaScript may give anything
  if (
    typeof given !== 'object' ||
    given === null ||
    !('pixels' in batch || 'indices' in batch || 'gpu' in batch)
  )
    throw new TypeError(
      `${method}: a batch must be a tensor, { pixels, shape } or { set, indices }, got ${describe(given)}`,
    )
  if ('gpu' in batch) return [batch]
  const inputs = 'pixels' in batch ? cutPixels(method, batch, cut) : [numbered(method, batch), batch.set]
  const { extents } = batch
  if (!extents) return inputs
  const N = countOf(method, batch)
  if (extents.length !== 2 * N)
    throw new RangeError(`extents must be two numbers for each of the ${N} images, got ${extents.length}`)
  return [...inputs, { values: extents, shape: [N, 2] }]
}

function numbered(
  method: string,
  { set, indices }: { readonly set: Variable; readonly indices: IndexList },
): Upload {
  const values = integersOf(`${method}: indices`, indices)
  const size = dim(set.shape, 0)
  const wrong = values.find((index) => index < 0 || index >= size)
  if (wrong !== undefined)
    throw new RangeError(`${method}: the set has ${size} images, numbered from 0, got the index ${wrong}`)
  return { values }
}

/** The images of such a batch within the step, [N, H, W, 3] in one tensor or in several. */
export const imagesOf = (batch: readonly Tensor[]): readonly Tensor[] => {
  const [given, set] = batch
  if (given && set && given.dtype === 'i32') return [takeImages(set, given)]
  return extentsOf(batch) ? batch.slice(0, -1) : batch
}

/** The extents [N, 2] of such a batch, or null: only they stand behind other tensors as f32. */
export function extentsOf(batch: readonly Tensor[]): Tensor | null {
  const last = batch.at(-1)
  return batch.length > 1 && last?.dtype === 'f32' ? last : null
}

/** How many images there are. */
export function countOf(method: string, batch: ImageBatch): number {
  if ('indices' in batch) return batch.indices.length
  return dim('pixels' in batch ? pixelsOf(method, batch).shape : batch.shape, 0)
}

/** Images of one size that can be read, as a Dataset's can. */
export interface ImageSource {
  readonly name: string
  readonly size: number
  readonly image: { readonly height: number; readonly width: number; readonly channels: number }
  read(indices: ArrayLike<number>, out: Uint8Array): Promise<void>
}

/** Bytes of the set, and the most that a set on the GPU may have: what the adapter binds at once. */
export function residentBytes({ device }: Gpu, { size, image }: Omit<ImageSource, 'read'>) {
  const bytes = size * image.height * image.width * image.channels
  return { bytes, most: device.limits.maxStorageBufferBindingSize }
}

/** The whole set on the GPU, u8 [size, H, W, 3], read and uploaded once. Throws Error when it is larger than what the adapter
 *  binds at once, and what `read` throws. */
export async function residentImages(gpu: Gpu, source: ImageSource): Promise<Variable> {
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
