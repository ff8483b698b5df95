// Classifiers on a frozen encoder: how well what it learned separates classes, by the accuracy on every test image.

import { type Scalar, type Tensor, ShapeError, dim, show } from '../kernels/op.ts'
import { callback, checkOptions, checkValue, having, needed, scheduled } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { FlatOptimizer } from '../engine/optimizer.ts'
import { type Schedule, scheduleOf } from '../engine/schedule.ts'
import { checkGpu } from '../models/layers.ts'
import { type Classify, clippedCrossEntropy } from '../models/classifiers.ts'

/** Some images, u8, one after the other, and their labels. */
export interface LabelledBatch {
  readonly images: Uint8Array
  readonly labels: Int32Array
}

export interface ClassifierOptions {
  /** Features [n, F] of u8 images [n, H, W, C], off the tape, by an encoder that does not change: its batch norm must use the
   *  running statistics. `step` says which augmentation is drawn, or none where it is null. */
  readonly features: (images: Tensor, step: Scalar | null) => Tensor
  readonly classify: Classify
  /** Of the classifier's parameters. */
  readonly optimizer: FlatOptimizer
  readonly schedule: Schedule | number
  /** [H, W, C] of an image. */
  readonly image: readonly [number, number, number]
}

const isImage = (v: unknown) => Array.isArray(v) && v.length === 3

const labelledBatch = {
  words: 'an object with u8 images and their labels',
  fits: (v: unknown) => having('', 'images', 'labels').fits(v) && (v as LabelledBatch).labels !== null,
}

const rules = {
  features: needed(callback),
  classify: needed(callback),
  optimizer: needed(having('an optimizer such as Sgd', 'step', 'state')),
  schedule: needed(scheduled),
  image: needed({ words: 'the [H, W, C] of an image', fits: isImage }),
}

/** A classifier on frozen features: `step(batch)` makes one step and returns its loss [], which dies when the next step ends;
 *  `accuracy(batches)` resolves to the percentage right of all images in the batches, of any sizes. The loss is AMDIM's, clipped cross
 *  entropy. Throws ShapeError. */
export function classifier(gpu: Gpu, options: ClassifierOptions) {
  checkGpu('classifier', gpu)
  const { features, classify, optimizer, image, ...more } = checkOptions('classifier', options ?? {}, rules)
  const schedule = scheduleOf('classifier', 'schedule', more.schedule)
  const state = { step: 0 }
  const captured = gpu.capture((x: Tensor, labels: Tensor) => {
    const h = gpu.noGrad(() => features(x, () => state.step))
    const loss = clippedCrossEntropy(classify(h, { training: true, step: () => state.step, view: 0 }), labels)
    optimizer.step(gpu.backward(loss), () => schedule(state.step))
    gpu.everyStep(() => state.step++)
    return loss
  })
  const shaped = (batch: LabelledBatch) => {
    checkValue('classifier', 'a batch', batch, labelledBatch)
    const { images, labels } = batch
    const shape = [labels.length, ...image]
    if (images.length !== shape.reduce((a, b) => a * b, 1))
      throw new ShapeError(`classifier: images must be ${show(shape)}, got ${images.length} bytes`)
    return { values: images, shape }
  }

  const step = (batch: LabelledBatch): Tensor =>
    captured.run(shaped(batch), { values: batch.labels, shape: [batch.labels.length] })

  async function accuracy(batches: AsyncIterable<LabelledBatch> | Iterable<LabelledBatch>): Promise<number> {
    let [right, count] = [0, 0]
    for await (const batch of batches) {
      const { values, shape } = shaped(batch)
      const scores = gpu.step(() =>
        gpu.noGrad(() =>
          classify(features(gpu.tensor(values, shape), null), { training: false, step: 0, view: 0 }),
        ),
      )
      const classes = dim(scores.shape, 1)
      const read = await gpu.read(scores)
      for (const [n, label] of batch.labels.entries())
        right += Number(highest(read.subarray(n * classes, (n + 1) * classes)) === label)
      count += batch.labels.length
    }
    return (100 * right) / count
  }

  return { step, accuracy, state }
}

const highest = (row: Float32Array) => row.indexOf(Math.max(...row))
