// The feed of a training: batches for its steps. A set that fits stays on the GPU, and a step reads
// its images by index. Batches of a larger set are read ahead and uploaded by each step. WebGPU
// copies the pixels at once, and writes them into the batch's buffer after the earlier steps, so
// that neither JavaScript nor the GPU waits, and one buffer is enough.

import type { Dataset } from '../data/dataset.ts'
import { extentsAt } from '../data/select.ts'
import { type BatchOptions, batches } from '../data/loader.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type ImageBatch, residentBytes, residentImages } from '../methods/image-batch.ts'

/** Keeps the training images on the GPU: always, never, or ('auto') if they take at most half of
 *  one binding. */
export type Resident = 'auto' | 'on' | 'off'

/** A batch for a step, and the indices of its images in the set. */
export interface Fed {
  readonly images: ImageBatch
  readonly indices: Uint32Array
}

/** Yields the batches of an epoch in order. */
export type Feed = (at: BatchOptions) => AsyncIterable<Fed>

const SHARE = 0.5

/** Opens the feed of a set. Images and their order do not depend on `resident`. Yields whole images
 *  if the set has originals. Throws Error if `resident` is 'on' and the set is larger than one
 *  binding, and DataError if it cannot be read. */
export async function openFeed(gpu: Gpu, images: Dataset, resident: Resident): Promise<Feed> {
  const { originals } = images
  const source = originals ? { ...images, image: originals.image, read: originals.read } : images
  const extents = originals?.extents ?? null
  const { bytes, most } = residentBytes(gpu, source)
  const fits = resident === 'on' || (resident === 'auto' && bytes <= SHARE * most)
  if (!fits) return (at) => streamed(source, extents, at)
  const set = await residentImages(gpu, source)
  return async function* byIndex(at) {
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
