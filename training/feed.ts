// What a training's steps are fed. A set that fits lies on the GPU, and steps get numbers of
// images; of any other, batches are read ahead, and uploaded as soon as a step is given one: WebGPU
// copies the pixels at once and puts them into the batch's buffer when the steps before are done,
// so that neither JavaScript nor the GPU waits, with one buffer as with several.

import type { Dataset } from '../data/dataset.ts'
import { extentsAt } from '../data/select.ts'
import { type BatchOptions, batches } from '../data/loader.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type ImageBatch, residentBytes, residentImages } from '../methods/image-batch.ts'

/** Whether the training images lie on the GPU: where they take at most half of what the adapter
 *  binds at once, or as told. */
export type Resident = 'auto' | 'on' | 'off'

/** A batch as a step takes it, and its images' positions in the set. */
export interface Fed {
  readonly images: ImageBatch
  readonly indices: Uint32Array
}

/** The batches of an epoch in order. */
export type Feed = (at: BatchOptions) => AsyncIterable<Fed>

const SHARE = 0.5

/** The feed of a set: either way the same images in the same order, whole where the set has them
 *  so. Throws Error for a set that is to lie on the GPU and is larger than one binding, and
 *  DataError when it cannot be read. */
export async function openFeed(gpu: Gpu, images: Dataset, resident: Resident): Promise<Feed> {
  const { originals } = images
  const source = originals ? { ...images, image: originals.image, read: originals.read } : images
  const extents = originals?.extents ?? null
  const { bytes, most } = residentBytes(gpu, source)
  const fits = resident === 'on' || (resident === 'auto' && bytes <= SHARE * most)
  if (!fits) return (at) => streamed(source, extents, at)
  const set = await residentImages(gpu, source)
  return async function* numbers(at) {
    for await (const { indices } of batches(source, { ...at, pixels: false }))
      yield {
        images: { set, indices: Int32Array.from(indices), ...partOf(extents, indices) },
        indices,
      }
  }
}

async function* streamed(
  source: Dataset,
  extents: Float32Array | null,
  at: BatchOptions,
): AsyncIterable<Fed> {
  const { height, width, channels } = source.image
  for await (const { images: pixels, indices } of batches(source, at)) {
    const shape = [indices.length, height, width, channels]
    yield { images: { pixels, shape, ...partOf(extents, indices) }, indices }
  }
}

const partOf = (extents: Float32Array | null, indices: Uint32Array) =>
  extents ? { extents: extentsAt(extents, indices) } : {}
