// The file of a training: safetensors with the pictures, the checkpoint, and the rest as metadata.
// What a file says is checked before anything is made of it: it may come from anywhere.

import {
  type Checkpoint,
  type Metric,
  type SafetensorsFile,
  type SavedTensor,
  type TrainConfig,
  decodeSafetensors,
  encodeSafetensors,
} from 'kindred'
import * as v from 'valibot'
import type { Choice } from '../common/api.ts'
import type { PhotoSet } from './photo-set.ts'

/** A training as it is saved. */
export interface SavedTraining {
  readonly choice: Choice
  readonly config: TrainConfig
  readonly metrics: readonly Metric[]
  readonly checkpoint: Checkpoint
}

const [PIXELS, LABELS, TEST, TEST_LABELS] = [
  'photos.pixels',
  'photos.labels',
  'photos.test.pixels',
  'photos.test.labels',
]
const ABOUT = 'photos'
const RUN = 'photos.run'

const count = v.pipe(v.number(), v.integer(), v.minValue(1))
const aboutPictures = v.object({
  kind: v.picklist(['own', 'built-in']),
  side: v.pipe(count, v.maxValue(1024)),
  names: v.array(v.string()),
  classes: v.array(v.string()),
})
const choiceRule = v.object({
  method: v.picklist(['simclr', 'moco']),
  network: v.picklist(['small', 'medium', 'large']),
  width: v.exactOptional(count),
  side: v.pipe(count, v.maxValue(512)),
  steps: count,
  batch: v.exactOptional(count),
  seed: v.pipe(v.number(), v.integer()),
})
const aboutRun = v.object({
  choice: choiceRule,
  config: v.looseObject({
    size: v.pipe(count, v.maxValue(512)),
    epochs: count,
    batch: count,
    seed: v.pipe(v.number(), v.integer()),
    model: v.looseObject({
      name: v.picklist(['resnet8', 'resnet18']),
      stem: v.picklist(['cifar', 'imagenet']),
      width: v.pipe(count, v.maxValue(256)),
    }),
  }),
  metrics: v.array(v.looseObject({ step: v.number() })),
})

/** Returns the pictures as tensors and metadata. */
export function encodePictures(pictures: PhotoSet): SafetensorsFile {
  const { kind, side, names, classes, pixels, labels, test } = pictures
  const images = (data: Uint8Array): SavedTensor => ({
    shape: [data.length / (side * side * 3), side, side, 3],
    data,
  })
  const tensors = new Map<string, SavedTensor>([[PIXELS, images(pixels)]])
  tensors.set(TEST, images(test.pixels))
  if (labels) tensors.set(LABELS, { shape: [labels.length], data: labels })
  if (test.labels) tensors.set(TEST_LABELS, { shape: [test.labels.length], data: test.labels })
  return { tensors, metadata: { [ABOUT]: JSON.stringify({ kind, side, names, classes }) } }
}

/** Returns a training as tensors and metadata: its checkpoint, with the rest beside. */
export function encodeTraining(training: SavedTraining): SafetensorsFile {
  const { choice, config, metrics, checkpoint } = training
  return {
    tensors: checkpoint.tensors,
    metadata: {
      ...checkpoint.metadata,
      step: String(checkpoint.step),
      [RUN]: JSON.stringify({ choice, config, metrics }),
    },
  }
}

/** Joins pictures and a training in one file. */
export const encodeRun = (pictures: PhotoSet, training: SavedTraining): Uint8Array<ArrayBuffer> => {
  const [a, b] = [encodePictures(pictures), encodeTraining(training)]
  return encodeSafetensors({
    tensors: new Map([...a.tensors, ...b.tensors]),
    metadata: { ...a.metadata, ...b.metadata },
  })
}

/** Reads the pictures of a file. Throws Error in words. */
export function decodePictures({ tensors, metadata }: SafetensorsFile): PhotoSet {
  const about = parsed(aboutPictures, metadata[ABOUT], 'pictures')
  const pixels = bytesOf(tensors, PIXELS)
  const stride = about.side ** 2 * 3
  if (pixels.length !== about.names.length * stride)
    throw new Error(`it names ${about.names.length} pictures and holds ${pixels.length / stride}`)
  const test = bytesOf(tensors, TEST)
  if (test.length % stride !== 0) throw new Error('its test pictures are not whole')
  const labels = labelsOf(tensors, LABELS, about.names.length, about.classes)
  const testLabels = labelsOf(tensors, TEST_LABELS, test.length / stride, about.classes)
  return { ...about, pixels, labels, test: { pixels: test, labels: testLabels } }
}

/** Reads the training of a file. Throws Error in words. */
export function decodeTraining({ tensors, metadata }: SafetensorsFile): SavedTraining {
  const { choice, config, metrics } = parsed(aboutRun, metadata[RUN], 'training')
  const step = Number(metadata['step'])
  if (!Number.isInteger(step) || step < 0) throw new Error('it does not say its step')
  const { [RUN]: _, [ABOUT]: __, ...own } = metadata
  const state = new Map([...tensors].filter(([name]) => !name.startsWith('photos.')))
  return {
    choice,
    config: config as unknown as TrainConfig, // `train` checks the rest
    metrics,
    checkpoint: { step, path: `step ${step}`, tensors: state, metadata: own },
  }
}

/** Decodes a file. Throws Error in words. */
export const decodeRun = (bytes: Uint8Array, name: string) => decodeSafetensors(bytes, name)

function parsed<T>(rule: v.GenericSchema<unknown, T>, text: string | undefined, what: string): T {
  if (text === undefined) throw new Error(`it holds no ${what} of this page`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new Error(`what it says of its ${what} is damaged`, { cause })
  }
  const found = v.safeParse(rule, value)
  if (found.success) return found.output
  const [issue] = found.issues
  throw new Error(`what it says of its ${what} is wrong: ${v.getDotPath(issue)}: ${issue.message}`)
}

function bytesOf(tensors: SafetensorsFile['tensors'], name: string): Uint8Array<ArrayBuffer> {
  const data = tensors.get(name)?.data
  if (data instanceof Uint8Array) return Uint8Array.from(data)
  throw new Error(`it has no ${name}`)
}

function labelsOf(
  tensors: SafetensorsFile['tensors'],
  name: string,
  size: number,
  classes: readonly string[],
): Int32Array<ArrayBuffer> | null {
  const data = tensors.get(name)?.data
  if (data === undefined) return null
  if (!(data instanceof Int32Array) || data.length !== size) throw new Error(`${name} is damaged`)
  if (data.some((label) => label < -1 || label >= classes.length))
    throw new Error(`${name} names classes that it does not have`)
  return Int32Array.from(data)
}
