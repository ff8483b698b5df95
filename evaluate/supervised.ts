// What training with labels shares: a captured step on images and labels, and the scores of others.

import { type Abortable, abortable, unlessAborted, untilAborted } from '../kernels/abort.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'
import { bytesOf, integersOf } from '../kernels/numbers.ts'
import { type Scalar, type Tensor, type Values, ShapeError, show, sizeOf } from '../kernels/op.ts'
import { checkOptions, checkValue, having, scheduled } from '../kernels/options.ts'
import type { Upload } from '../engine/capture/inputs.ts'
import { countUp } from '../engine/counter.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Mode } from '../models/model.ts'
import type { FlatOptimizer } from '../engine/optim/optimizer.ts'
import { type Schedule, scheduleOf } from '../engine/optim/schedule.ts'

/** N images with labels. `images` are bytes [N, H, W, C] in an array of any kind, `labels` [N]
 *  whole numbers. */
export interface LabelledBatch {
  readonly images: Values
  readonly labels: IndexList
}

type Batches = AsyncIterable<LabelledBatch> | Iterable<LabelledBatch>

/** What is trained, and how. */
export interface Supervised {
  /** Maps u8 images [N, H, W, C] to scores [N, classes]. `step` is the step to train; null
   *  evaluates. */
  readonly score: (images: Tensor, step: Scalar | null) => Tensor
  /** The loss [] of scores [N, classes] and i32 labels [N]. */
  readonly loss: (scores: Tensor, labels: Tensor) => Tensor
  readonly optimizer: FlatOptimizer
  readonly schedule: Schedule | number
  /** [H, W, C] of an image. */
  readonly image: readonly [number, number, number]
}

const isImage = (v: unknown) => Array.isArray(v) && v.length === 3

/** Rules of the options that all such trainings take. */
export const supervisedRules = {
  optimizer: having('an optimizer such as Sgd', 'step', 'state', 'parameters'),
  schedule: scheduled,
  image: { words: 'the [H, W, C] of an image', fits: isImage },
}

const labelledBatch = {
  words: 'an object with u8 images and their labels',
  fits: (v: unknown) =>
    having('', 'images', 'labels').fits(v) && (v as LabelledBatch).labels !== null,
}

/** Returns the mode of a model in a step, whose draws follow from `seed`; null evaluates. */
export const modeAt = (step: Scalar | null, seed: number): Mode =>
  step === null ? { training: false } : { training: true, draws: { seed, step } }

/** Makes `step`, `scores`, `accuracy` and `state`; messages begin with `owner`. */
export function supervised(owner: string, gpu: Gpu, options: Supervised) {
  const state = { step: 0 }
  const captured = trainingStep(owner, gpu, options, state)

  const given = (batch: LabelledBatch) => {
    const { images, labels } = numbersIn(owner, batch, options.image)
    return [images, { values: labels }] as const
  }

  const scored = (what: string, batches: Batches, measuring: Abortable) => {
    const { signal } = checkOptions(`${owner}.${what}`, measuring, abortable)
    return scoredBatches(owner, gpu, options, { batches, signal })
  }

  return {
    step: (batch: LabelledBatch): Tensor => captured.run(...given(batch)),
    /** Compiles the kernels of a step on such a batch, in the background. */
    warm: async (batch: LabelledBatch): Promise<void> => captured.warm(...given(batch)),
    async scores(batches: Batches, measuring: Abortable = {}): Promise<Float32Array> {
      const parts: Float32Array[] = []
      for await (const { scores } of scored('scores', batches, measuring)) parts.push(scores)
      return concatenated(parts)
    },
    async accuracy(batches: Batches, measuring: Abortable = {}): Promise<number> {
      let [right, count] = [0, 0]
      for await (const { scores, labels } of scored('accuracy', batches, measuring)) {
        const C = scores.length / labels.length
        for (const [n, label] of labels.entries())
          right += Number(highest(scores.subarray(n * C, (n + 1) * C)) === label)
        count += labels.length
      }
      return (100 * right) / count
    },
    state,
  }
}

function concatenated(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** Yields the scores of each batch with its labels. */
async function* scoredBatches(
  owner: string,
  gpu: Gpu,
  options: Supervised,
  { batches, signal }: { readonly batches: Batches; readonly signal: AbortSignal | undefined },
) {
  for await (const batch of untilAborted(signal, batches)) {
    const { images, labels } = numbersIn(owner, batch, options.image)
    const scores = await unlessAborted(signal, scoresFor(gpu, options, images))
    yield { scores, labels }
  }
}

/** Captures the step that trains on images and labels, and counts in `state`. */
function trainingStep(
  owner: string,
  gpu: Gpu,
  { score, loss: lossOf, optimizer, ...options }: Supervised,
  state: { step: number },
) {
  const schedule = scheduleOf(owner, 'schedule', options.schedule)
  return gpu.capture((x: Tensor, labels: Tensor) => {
    const loss = lossOf(
      score(x, () => state.step),
      labels,
    )
    const of = Object.values(optimizer.trained ?? optimizer.parameters)
    const gradients = gpu.backward(loss, undefined, { of })
    optimizer.step(gradients, () => schedule(state.step))
    countUp(gpu, state, 'step')
    return loss
  })
}

/** Returns the numbers of a batch, for images of this size. Throws TypeError and ShapeError. */
function numbersIn(owner: string, batch: LabelledBatch, image: Supervised['image']) {
  checkValue(owner, 'a batch', batch, labelledBatch)
  const labels = integersOf(`${owner}: labels`, batch.labels)
  const images = bytesOf(`${owner}: images`, batch.images)
  const shape = [labels.length, ...image]
  if (images.length !== sizeOf(shape))
    throw new ShapeError(`${owner}: images must be ${show(shape)}, got ${images.length} bytes`)
  return { images: { values: images, shape }, labels }
}

/** Returns the scores [N, classes] of images [N, H, W, C]. */
async function scoresFor(gpu: Gpu, { score }: Supervised, images: Upload): Promise<Float32Array> {
  const scores = gpu.step(() =>
    gpu.noGrad(() => score(gpu.tensor(images.values, images.shape), null)),
  )
  return gpu.read(scores)
}

/** The index of the largest score, the lowest of equals. */
const highest = (row: Float32Array) => row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity))
