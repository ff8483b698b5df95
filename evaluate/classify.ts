// Trains classifiers on a frozen encoder, and measures how well its features separate classes.

import { type Abortable, abortable, unlessAborted, untilAborted } from '../kernels/abort.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'
import { bytesOf, integersOf } from '../kernels/numbers.ts'
import {
  type Scalar,
  type Tensor,
  type Values,
  ShapeError,
  dim,
  show,
  sizeOf,
} from '../kernels/op.ts'
import {
  callback,
  checkOptions,
  checkValue,
  having,
  needed,
  scheduled,
  whole,
} from '../kernels/options.ts'
import type { Upload } from '../engine/capture/inputs.ts'
import { countUp } from '../engine/counter.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { FlatOptimizer } from '../engine/optim/optimizer.ts'
import { type Schedule, scheduleOf } from '../engine/optim/schedule.ts'
import { type Layer, checkGpu } from '../models/model.ts'
import { clippedCrossEntropy } from '../models/classifiers.ts'

/** N images with labels. `images` are bytes [N, H, W, C] in an array of any kind, `labels` [N]
 *  whole numbers. */
export interface LabelledBatch {
  readonly images: Values
  readonly labels: IndexList
}

/** Options of `classifier`. */
export interface ClassifierOptions {
  /** Computes features [N, F] of u8 images [N, H, W, C] without a gradient. The encoder must not
   *  change: its batch norm uses the running statistics. `step` is the step to draw augmentations
   *  for; null means none. */
  readonly features: (images: Tensor, step: Scalar | null) => Tensor
  /** Maps features [N, F] to scores [N, classes], in the mode of a model. */
  readonly classify: Layer
  /** Optimizer of the classifier's parameters. */
  readonly optimizer: FlatOptimizer
  /** Learning rate, or a function from the step to it. */
  readonly schedule: Schedule | number
  /** [H, W, C] of an image. */
  readonly image: readonly [number, number, number]
  /** Seed of what the classifier draws, such as its dropout; 0 by default. */
  readonly seed?: number
}

const isImage = (v: unknown) => Array.isArray(v) && v.length === 3

const labelledBatch = {
  words: 'an object with u8 images and their labels',
  fits: (v: unknown) =>
    having('', 'images', 'labels').fits(v) && (v as LabelledBatch).labels !== null,
}

const rules = {
  features: needed(callback),
  classify: needed(callback),
  optimizer: needed(having('an optimizer such as Sgd', 'step', 'state', 'parameters')),
  schedule: needed(scheduled),
  image: needed({ words: 'the [H, W, C] of an image', fits: isImage }),
  seed: whole,
}

/** Makes a classifier of frozen features. `step(batch)` trains one step and returns the loss [],
 *  AMDIM's `clippedCrossEntropy`, which is freed at the end of the next step. `accuracy(batches)`
 *  resolves to the percentage of images in the batches, of any sizes, that are classified right; it
 *  takes a `signal` too, whose reason it rejects with.
 *  `state.step` counts the steps. Throws TypeError for wrong options, ShapeError for a batch that
 *  is not whole images with one label each. */
export function classifier(gpu: Gpu, options: ClassifierOptions) {
  checkGpu('classifier', gpu)
  const checked = checkOptions('classifier', options ?? {}, rules)
  const state = { step: 0 }
  const captured = trainingStep(gpu, checked, state)

  const step = (batch: LabelledBatch): Tensor => {
    const { images, labels } = numbersIn(batch, checked.image)
    return captured.run(images, { values: labels })
  }

  async function accuracy(
    batches: AsyncIterable<LabelledBatch> | Iterable<LabelledBatch>,
    measuring: Abortable = {},
  ): Promise<number> {
    const { signal } = checkOptions('classifier.accuracy', measuring, abortable)
    let [right, count] = [0, 0]
    for await (const batch of untilAborted(signal, batches)) {
      const { images, labels } = numbersIn(batch, checked.image)
      const predictions = await unlessAborted(signal, predict(gpu, checked, images))
      for (const [n, label] of labels.entries()) right += Number(predictions[n] === label)
      count += labels.length
    }
    return (100 * right) / count
  }

  return { step, accuracy, state }
}

/** Captures the step that trains on images and labels, and counts in `state`. */
function trainingStep(gpu: Gpu, options: ClassifierOptions, state: { step: number }) {
  const { features, classify, optimizer, seed = 0 } = options
  const draws = { seed, step: () => state.step }
  const schedule = scheduleOf('classifier', 'schedule', options.schedule)
  return gpu.capture((x: Tensor, labels: Tensor) => {
    const h = gpu.noGrad(() => features(x, () => state.step))
    const loss = clippedCrossEntropy(classify(h, { training: true, draws }), labels)
    const of = Object.values(optimizer.trained ?? optimizer.parameters)
    const gradients = gpu.backward(loss, undefined, { of })
    optimizer.step(gradients, () => schedule(state.step))
    countUp(gpu, state, 'step')
    return loss
  })
}

/** Returns the numbers of a batch, for images of this size. Throws as `classifier` says. */
function numbersIn(batch: LabelledBatch, image: ClassifierOptions['image']) {
  checkValue('classifier', 'a batch', batch, labelledBatch)
  const labels = integersOf('classifier: labels', batch.labels)
  const images = bytesOf('classifier: images', batch.images)
  const shape = [labels.length, ...image]
  if (images.length !== sizeOf(shape))
    throw new ShapeError(`classifier: images must be ${show(shape)}, got ${images.length} bytes`)
  return { images: { values: images, shape }, labels }
}

/** Returns the class of each image [N, H, W, C]. */
async function predict(
  gpu: Gpu,
  { features, classify }: ClassifierOptions,
  images: Upload,
): Promise<number[]> {
  const scores = gpu.step(() =>
    gpu.noGrad(() =>
      classify(features(gpu.tensor(images.values, images.shape), null), { training: false }),
    ),
  )
  const [N, classes] = [dim(scores.shape, 0), dim(scores.shape, 1)]
  const read = await gpu.read(scores)
  return Array.from({ length: N }, (_, n) => highest(read.subarray(n * classes, (n + 1) * classes)))
}

/** The index of the largest score, the lowest of equals. */
const highest = (row: Float32Array) => row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity))
