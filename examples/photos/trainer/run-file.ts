// The file of a training: safetensors with the pictures, the checkpoint, and the rest as metadata.
// What a file says is checked before anything is made of it: it may come from anywhere.

import {
  type Checkpoint,
  type Metric,
  type SafetensorsFile,
  type SavedTensor,
  type TrainConfig,
  checkedRun,
  encodeSafetensors,
} from 'kindred'
import * as v from 'valibot'
import type { Choice } from '../common/api.ts'
import type { PhotoSet } from './photo-set.ts'
import { stepsOf } from './settings.ts'

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
const KEPT_PICTURES = 'photos.kept' // the file of a kept training's pictures

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
  looks: v.exactOptional(count),
  seed: v.pipe(v.number(), v.integer()),
})
const configRules = {
  size: v.pipe(count, v.maxValue(512)),
  epochs: count,
  batch: count,
  seed: v.pipe(v.number(), v.integer()),
  model: v.looseObject({
    name: v.picklist(['resnet8', 'resnet18']),
    stem: v.picklist(['cifar', 'imagenet']),
    width: v.pipe(count, v.maxValue(256)),
  }),
}
const aboutRun = v.object({
  choice: choiceRule,
  config: v.looseObject(configRules),
  metrics: v.array(v.unknown()),
})
const fromElsewhere = v.object({
  method: choiceRule.entries.method,
  ...configRules,
  precision: v.literal('f32'),
  activations: v.literal('f32'),
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

/** Returns a training as the browser keeps it: with the name of the file of its pictures. */
export function encodeKept(training: SavedTraining, picturesFile: string): SafetensorsFile {
  const { tensors, metadata } = encodeTraining(training)
  return { tensors, metadata: { ...metadata, [KEPT_PICTURES]: picturesFile } }
}

/** Returns the name of the file of a kept training's pictures. Older ones do not say it. */
export const picturesFileOf = ({ metadata }: SafetensorsFile): string =>
  metadata[KEPT_PICTURES] ?? 'pictures'

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

/** Reads the training of a file, on so many pictures. Throws Error in words for one that could not
 *  go on. */
export function decodeTraining(
  { tensors, metadata }: SafetensorsFile,
  pictures: number,
): SavedTraining {
  const { choice, ...said } = parsed(aboutRun, metadata[RUN], 'training')
  const { [RUN]: _, [ABOUT]: __, [KEPT_PICTURES]: ___, ...own } = metadata
  const state = new Map([...tensors].filter(([name]) => !name.startsWith('photos.')))
  const parts = { ...said, checkpoint: { tensors: state, metadata: own } }
  const { config, metrics, checkpoint } = checkedRun(parts, 'its training')
  const { step } = checkpoint
  checkLength(config, step, pictures)
  return { choice, config, metrics, checkpoint: { ...checkpoint, path: `step ${step}` } }
}

/** Throws Error if so many pictures do not make a batch, or not so many steps. */
function checkLength(config: TrainConfig, step: number, pictures: number) {
  const { batch } = config
  if (batch > pictures)
    throw new Error(`its batches are of ${batch} pictures, and it holds ${pictures}`)
  const steps = stepsOf(config, pictures)
  if (step > steps) throw new Error(`it is at step ${step}, after its last step of ${steps}`)
}

/** Checks a training that comes from elsewhere, on so many pictures, as one that this page can go
 *  on with. Throws Error in words. */
export function checkedForPage(
  given: object,
  pictures: number,
  checkpoint: Checkpoint,
): Omit<SavedTraining, 'metrics'> {
  const found = v.safeParse(fromElsewhere, given)
  if (!found.success) {
    const [issue] = found.issues
    throw new Error(`this page cannot train it: ${v.getDotPath(issue)}: ${issue.message}`)
  }
  const { method, size, seed, batch, model } = found.output
  const config = given as TrainConfig // `unpackRun` has checked it
  checkLength(config, checkpoint.step, pictures)
  const network = model.name === 'resnet8' ? 'small' : model.width < 64 ? 'medium' : 'large'
  const steps = stepsOf(config, pictures)
  const choice = { method, network, width: model.width, side: size, steps, batch, seed } as const
  return { choice, config, checkpoint: { ...checkpoint, path: `step ${checkpoint.step}` } }
}

/** Tells whether a file holds pictures of this page. */
export const isPictures = ({ metadata }: SafetensorsFile): boolean => metadata[ABOUT] !== undefined

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
