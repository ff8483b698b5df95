// What an encoder makes of a whole set of images.

import { type Tensor, ShapeError, show, sizeOf } from '../kernels/op.ts'
import { callback, checkTensor, checkValue, having } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { checkGpu } from '../models/layers.ts'

/** Some images, u8, one after the other. */
export interface ImageBatch {
  readonly images: Uint8Array
  /** How many of them count; all unless told. */
  readonly count?: number
}

export interface Embeddings {
  /** [M, D], in row-major order. */
  readonly features: Float32Array
  readonly M: number
  readonly D: number
}

const isImage = (v: unknown) => Array.isArray(v) && v.length === 3

const iterable = {
  words: 'an iterable of batches, each with images',
  fits: (v: unknown) =>
    typeof v === 'object' && v !== null && (Symbol.asyncIterator in v || Symbol.iterator in v),
}

/** The features of every image of `batches`, in order. `image` is the [H, W, C] of one; `encode` takes u8 images [n, H, W, C]
 *  to [n, D], off the tape and in a step of its own per batch. Throws ShapeError. */
export async function embed(
  gpu: Gpu,
  encode: (images: Tensor) => Tensor,
  batches: AsyncIterable<ImageBatch> | Iterable<ImageBatch>,
  image: readonly [H: number, W: number, C: number],
): Promise<Embeddings> {
  checkGpu('embed', gpu)
  checkValue('embed', 'encode', encode, callback)
  checkValue('embed', 'batches', batches, iterable)
  checkValue('embed', 'image', image, { words: 'the [H, W, C] of an image', fits: isImage })
  const parts: Float32Array[] = []
  let [M, D] = [0, 0]
  for await (const batch of batches) {
    checkValue('embed', 'a batch', batch, having('an object with u8 images', 'images'))
    const { images, count = images.length / sizeOf(image) } = batch
    const pixels = images.subarray(0, count * sizeOf(image))
    if (!Number.isInteger(count))
      throw new ShapeError(`embed: a batch must be whole images ${show(image)}, got ${images.length} bytes`)
    const encoded = gpu.step(() => gpu.noGrad(() => encode(gpu.tensor(pixels, [count, ...image]))))
    checkTensor('embed', 'what encode returns', encoded)
    const [n, width = 0] = encoded.shape
    if (encoded.shape.length !== 2 || n !== count || (D > 0 && width !== D))
      throw new ShapeError(`embed: encode must return [${count}, ${D || 'D'}], got ${show(encoded.shape)}`)
    parts.push(await gpu.read(encoded))
    M += count
    D = width
  }
  const features = new Float32Array(M * D)
  let at = 0
  for (const part of parts) {
    features.set(part, at)
    at += part.length
  }
  return { features, M, D }
}
