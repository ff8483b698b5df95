// Checks images that go to a worker, makes them ready to be transferred, and makes data sets of them
// there.

import { checkValue, having, rule } from '../kernels/options.ts'
import { integersOf } from '../kernels/numbers.ts'
import { type Dataset, memoryDataset } from '../data/dataset.ts'
import type { WorkerImages } from './messages.ts'

const images = having('images, { pixels, shape }', 'pixels', 'shape')
const bytes = rule(
  'a Uint8Array or a Uint8ClampedArray',
  (v) => v instanceof Uint8Array || v instanceof Uint8ClampedArray,
)
const shapeRule = rule(
  '[N, H, W, 3], whole numbers from 1 on',
  (v) =>
    Array.isArray(v) &&
    v.length === 4 &&
    v.every((size) => Number.isInteger(size) && Number(size) >= 1) &&
    v[3] === 3,
)

/** Checks images and returns them with memory that can be transferred: their own if it holds nothing
 *  else, else a copy. Throws TypeError and RangeError in words, in the name of `owner`. */
export function checkedImages(owner: string, what: string, given: WorkerImages): WorkerImages {
  const { pixels, shape, labels = null, ...more } = checkValue(owner, what, given, images)
  checkValue(owner, `${what}.pixels`, pixels, bytes)
  checkValue(owner, `${what}.shape`, shape, shapeRule)
  const [N] = shape
  const needed = shape.reduce((product, size) => product * size, 1)
  if (pixels.length !== needed)
    throw new RangeError(
      `${owner}: ${what} of [${shape.join(', ')}] must have ${needed} bytes, got ${pixels.length}` +
        (pixels.length === 0 ? '; were they transferred to a worker before?' : ''),
    )
  const numbers = labels && integersOf(`${owner}: ${what}.labels`, labels)
  if (numbers && numbers.length !== N)
    throw new RangeError(`${owner}: each of ${N} images needs its label, got ${numbers.length}`)
  const isOwn =
    pixels.buffer instanceof ArrayBuffer && pixels.byteLength === pixels.buffer.byteLength
  return {
    ...more,
    ...{ shape: [...shape], labels: numbers },
    pixels: isOwn ? new Uint8Array(pixels.buffer) : Uint8Array.from(pixels),
  }
}

/** The memory of checked images, to transfer. */
export const buffersOf = (given: readonly (WorkerImages | null)[]): ArrayBuffer[] =>
  given.flatMap((one) => (one?.pixels.buffer instanceof ArrayBuffer ? [one.pixels.buffer] : []))

/** Makes a data set of checked images. Throws RangeError for labels beyond the classes. */
export function datasetOf({ pixels, shape, labels = null, ...more }: WorkerImages): Dataset {
  const [, height, width, channels] = shape
  const numbers = labels && Int32Array.from(labels)
  const most = numbers ? numbers.reduce((a, b) => Math.max(a, b), -1) : -1
  const classes = more.classes ?? Array.from({ length: most + 1 }, (_, i) => String(i))
  if (most >= classes.length)
    throw new RangeError(
      `a label must be below ${classes.length}, the number of classes, got ${most}`,
    )
  return memoryDataset({
    ...{ name: more.name ?? 'the images', image: { height, width, channels }, classes },
    ...{ labels: numbers, pixels: new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.length) },
  })
}

/** An empty half, for a training without images to measure with. */
export const noImages = ({ image, classes }: Dataset): Dataset =>
  memoryDataset({
    ...{ name: 'no images', image, classes, labels: null },
    pixels: new Uint8Array(0),
  })
