// Trains one cell of a few-label table: a whole network from a run or from scratch, or a linear
// classifier on the run's frozen features.

import { augment } from '../kernels/augment/augment.ts'
import { testTransform } from '../kernels/augment/recipes.ts'
import type { Tensor } from '../kernels/op.ts'
import type { Dataset } from '../data/dataset.ts'
import { batches, countSteps } from '../data/loader.ts'
import { select } from '../data/select.ts'
import type { Gpu } from '../engine/gpu.ts'
import { AdamW } from '../engine/optim/optimizer.ts'
import { cosine, warmup } from '../engine/optim/schedule.ts'
import { embed } from '../evaluate/embed.ts'
import { fineTuner } from '../evaluate/fine-tune.ts'
import { inF32 } from '../evaluate/in-f32.ts'
import { linearProbe } from '../evaluate/linear-probe.ts'
import { scoresOf } from '../evaluate/regression.ts'
import { unitFeatures } from '../evaluate/unit-features.ts'
import { recipeOf } from '../methods/views.ts'
import type { Model } from '../models/model.ts'
import { networksOf } from '../training/encoder.ts'
import { batchesInOrder, knownLabels } from '../training/knn.ts'
import type { Progress } from '../training/progress.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import type { Cell, CellSettings } from './few-label-cells.ts'
import { labelledBatches, percentRight } from './labelled-images.ts'

/** What every cell trains on. */
export interface FewLabels {
  readonly gpu: Gpu
  readonly config: TrainConfig
  readonly settings: CellSettings
  /** Loads the learned weights into an encoder. */
  readonly load: (encoder: Model) => void
  readonly train: Dataset
  readonly test: Dataset
  readonly progress: Progress
}

/** Trains a cell on the images at `indices`, and returns its accuracy in percent on all test
 *  images. Throws Error if the loss is not finite. */
export async function trainCell(
  few: FewLabels,
  cell: Cell,
  indices: ArrayLike<number>,
): Promise<number> {
  const images = select(few.train, indices)
  const { model } = networksOf(few.gpu, { ...few.config, seed: cell.seed }, 'features')
  const labels = { images, seed: cell.seed, learned: cell.arm !== 'from scratch' }
  if (labels.learned) few.load(model)
  return cell.arm === 'linear probe' ? probed(few, model, labels) : tuned(few, model, labels)
}

interface Labels {
  readonly images: Dataset
  readonly seed: number
  /** True if the encoder has learned weights. */
  readonly learned: boolean
}

/** Fits logistic regression to the unit features of the labelled images, to convergence. */
async function probed(few: FewLabels, model: Model, { images, seed }: Labels) {
  const { config, test } = few
  const encode = unitFeatures(model, testTransform(recipeOf(config.views, 0)))
  const rows = (set: Dataset) => embed(few.gpu, encode, batchesInOrder(set), shapeOf(set))
  const gpu = inF32(few.gpu)
  const classes = images.classes.length
  const probe = await linearProbe(gpu, await rows(images), knownLabels(images), { classes, seed })
  return percentRight(await scoresOf(gpu, await rows(test), probe), test)
}

/** Fits the classifier with which fine-tuning begins, to the features as they are. */
async function beginning({ gpu, config }: FewLabels, model: Model, { images, seed }: Labels) {
  const tested = testTransform(recipeOf(config.views, 0))
  const encode = (x: Tensor) =>
    model.forward(augment(x, tested, { seed: 0, step: 0, view: 0 }), { training: false })
  const rows = await embed(gpu, encode, batchesInOrder(images), shapeOf(images))
  const classes = images.classes.length
  return linearProbe(inF32(gpu), rows, knownLabels(images), { classes, seed })
}

/** Trains the whole network for the budget's steps, on the views of the run. A learned encoder
 *  begins with the classifier of its linear probe. */
async function tuned(few: FewLabels, encoder: Model, { images, seed, learned }: Labels) {
  const { gpu, config, settings, test, progress } = few
  const { steps, lr, weightDecay } = settings
  const batch = Math.min(settings.batch, images.size)
  const rise = Math.ceil(steps / 10)
  const views = recipeOf(config.views, 0)
  const tested = testTransform(views)
  const probe = learned ? { probe: await beginning(few, encoder, { images, seed, learned }) } : {}
  const { step, scores, state } = fineTuner(gpu, {
    ...{ encoder, classes: images.classes.length, seed, image: shapeOf(images), ...probe },
    views: (x, at) => augment(x, at === null ? tested : views, { seed, step: at ?? 0, view: 0 }),
    optimizer: (parameters) => new AdamW(parameters, { weightDecay }),
    schedule: warmup(rise, cosine(lr, Math.max(1, steps - rise))),
  })
  progress.start(steps)
  const perEpoch = countSteps(images, { batch })
  for (let epoch = 0; epoch * perEpoch < steps; epoch++)
    for await (const { images: pixels, labels } of batches(images, { batch, seed, epoch })) {
      if (state.step >= steps || !labels) break
      const [loss = NaN] = await gpu.read(step({ images: pixels, labels }))
      if (!Number.isFinite(loss)) throw new Error(`the loss became ${loss}; lower --lr`)
      progress.update(state.step, { loss, images: batch })
    }
  progress.stop()
  return percentRight(await scores(labelledBatches(test)), test)
}

const shapeOf = ({ image: { height, width, channels } }: Dataset) =>
  [height, width, channels] as const
