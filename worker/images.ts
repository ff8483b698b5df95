// Checks images that go to a worker, and makes them ready to be transferred.

import { checkValue, having, rule } from '../kernels/options.ts'
import type { SafetensorsFile } from '../engine/safetensors.ts'
import type { Dataset } from '../data/dataset.ts'
import { filedImages } from '../data/images-file.ts'
import { countSteps } from '../data/loader.ts'
import { memoryDataset } from '../data/memory-dataset.ts'
import { trainingImages } from '../training/prepare.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import type { TrainingStorage } from '../training/storage.ts'
import type { SentImages, WorkerImages } from './messages.ts'

const images = having('images, { pixels, image }', 'pixels', 'image')
const bytes = rule(
  'a Uint8Array or a Uint8ClampedArray',
  (v) => v instanceof Uint8Array || v instanceof Uint8ClampedArray,
)

/** Checks images and returns them with memory that can be transferred: their own if it holds
 *  nothing else, else a copy. Throws TypeError in the name of `owner`, and like `memoryDataset`. */
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

/** Checks the images that a page gives. */
export function givenImages(
  owner: string,
  train: WorkerImages | undefined,
  test: WorkerImages | undefined,
): SentImages {
  if (!train) throw new TypeError(`${owner}: test needs train beside it, got none`)
  const checked = checkedImages(owner, 'train', train)
  return { train: checked, test: test ? checkedImages(owner, 'test', test) : null }
}

/** Copies the images that a run keeps. Throws TypeError if it keeps none. */
export async function keptImages(
  owner: string,
  storage: TrainingStorage,
  config: TrainConfig,
): Promise<SafetensorsFile> {
  const kept = (await storage.images?.()) ?? null
  if (!kept)
    throw new TypeError(`${owner}: train must be given, since ${storage.name} keeps no images`)
  checkSteps(config, kept.train)
  return filedImages(kept)
}

/** Throws Error for images that do not make a step. */
export const checkSteps = (config: TrainConfig, train: Dataset) =>
  countSteps(trainingImages(config, { train }), { batch: config.batch })

/** The memory of all images of a message. Pixels of a file are a copy, labels may be the page's. */
export const buffersIn = (sent: SentImages | SafetensorsFile): readonly ArrayBuffer[] => {
  if (!('tensors' in sent)) return buffersOf([sent.train, sent.test])
  const pixels = [...sent.tensors.values()].filter(({ data }) => data instanceof Uint8Array)
  return pixels.map(({ data }) => data.buffer).filter((buffer) => buffer instanceof ArrayBuffer)
}

/** An empty half, for a training without images to measure with. */
export const noImages = ({ image }: Dataset): Dataset =>
  memoryDataset({ name: 'no images', image, pixels: new Uint8Array(0) })
