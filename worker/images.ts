// Checks images that go to a worker, and makes them ready to be transferred.

import { checkValue, having, rule } from '../kernels/options.ts'
import type { Dataset } from '../data/dataset.ts'
import { memoryDataset } from '../data/memory-dataset.ts'
import type { WorkerImages } from './messages.ts'

const images = having('images, { pixels, image }', 'pixels', 'image')
const bytes = rule(
  'a Uint8Array or a Uint8ClampedArray',
  (v) => v instanceof Uint8Array || v instanceof Uint8ClampedArray,
)

/** Checks images and returns them with memory that can be transferred: their own if it holds nothing
 *  else, else a copy. Throws TypeError in the name of `owner`, and like `memoryDataset`. */
export function checkedImages(owner: string, what: string, given: WorkerImages): WorkerImages {
  checkValue(owner, what, given, images)
  const { pixels } = given
  checkValue(owner, `${what}.pixels`, pixels, bytes)
  if (pixels.length === 0)
    throw new RangeError(
      `${owner}: ${what}.pixels must hold images, got 0 bytes; were they transferred to a worker before?`,
    )
  const { labels } = memoryDataset(given)
  const { buffer, byteLength } = pixels
  const isOwn = buffer instanceof ArrayBuffer && byteLength === buffer.byteLength
  return { ...given, labels, pixels: isOwn ? new Uint8Array(buffer) : Uint8Array.from(pixels) }
}

/** The memory of checked images, to transfer: each once, also where two sets share it. */
export const buffersOf = (given: readonly (WorkerImages | null)[]): readonly ArrayBuffer[] => {
  const all = given.map((one) => one?.pixels.buffer)
  return [...new Set(all.filter((buffer) => buffer instanceof ArrayBuffer))]
}

/** An empty half, for a training without images to measure with. */
export const noImages = ({ image }: Dataset): Dataset =>
  memoryDataset({ name: 'no images', image, pixels: new Uint8Array(0) })
