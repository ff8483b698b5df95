// Trains a whole network on few labels: the same steps, views and choice of the learning rate from
// learned weights and from scratch.

import { augment } from '../kernels/augment/augment.ts'
import { cropAndFlip, testTransform } from '../kernels/augment/recipes.ts'
import type { Tensor } from '../kernels/op.ts'
import type { Dataset } from '../data/dataset.ts'
import { batches, countSteps } from '../data/loader.ts'
import { select } from '../data/select.ts'
import { AdamW } from '../engine/optim/optimizer.ts'
import { cosine, warmup } from '../engine/optim/schedule.ts'
import { embed } from '../evaluate/embed.ts'
import { fineTuner } from '../evaluate/fine-tune.ts'
import { parted } from '../evaluate/held-out.ts'
import { inF32 } from '../evaluate/in-f32.ts'
import { linearProbe } from '../evaluate/linear-probe.ts'
import { recipeOf } from '../methods/views.ts'
import type { Model } from '../models/model.ts'
import { saveModel } from '../models/state.ts'
import { batchesInOrder, knownLabels } from '../training/knn.ts'
import type { FewLabels, TrainedCell } from './few-label-training.ts'
import { entropyOf, labelledBatches, percentRight } from './labelled-images.ts'

/** The labelled images of a network, and how it begins. */
interface Beginning {
  /** Makes the encoder with its first weights. */
  readonly encoder: () => Model
  readonly images: Dataset
  /** Seed of the held-out labels, of the classifier and of all draws. */
  readonly seed: number
  /** True if the encoder has learned weights: the classifier begins as its linear probe. */
  readonly learned: boolean
}

/** Trains a network, at the learning rate that does best on a fifth of the labels, held out, where
 *  there are several. */
export async function tunedNetwork(few: FewLabels, begin: Beginning): Promise<TrainedCell> {
  const chosen = await chosenRate(few, begin)
  const { lr } = chosen
  const { scores, model } = await trained(few, begin, lr)
  const accuracy = percentRight(await scores(labelledBatches(few.test)), few.test)
  return { accuracy, ...chosen, tensors: await saveModel(few.gpu, model) }
}

/** Chooses the learning rate by the accuracy on a fifth of the labels, of equals by the cross
 *  entropy. Takes the middle one where no label can be held out. */
async function chosenRate(few: FewLabels, begin: Beginning) {
  const { rates, progress } = few
  const { fit, held } = parted(knownLabels(begin.images), begin.seed)
  const middle = rates[Math.floor((rates.length - 1) / 2)]
  if (middle === undefined) throw new Error('there is no learning rate to choose')
  if (rates.length === 1 || held.length === 0) return { lr: middle }
  const others = select(begin.images, held)
  const part = { ...begin, images: select(begin.images, fit) }
  let best: { lr: number; heldOut: number; entropy: number } | null = null
  for (const lr of rates) {
    const { scores } = await trained(few, part, lr)
    const own = await scores(labelledBatches(others))
    const heldOut = own.every(Number.isFinite) ? percentRight(own, others) : -1
    const entropy = entropyOf(own, others)
    progress.note(`learning rate ${lr}: ${heldOut.toFixed(1)}% of ${held.length} labels held out`)
    const isBetter =
      !best || heldOut > best.heldOut || (heldOut === best.heldOut && entropy < best.entropy)
    if (isBetter) best = { lr, heldOut, entropy }
  }
  const { lr, heldOut } = best ?? { lr: middle, heldOut: 0 }
  return { lr, heldOut }
}

/** Trains a new network for the budget's steps, on crops and flips. Throws Error if the loss is not
 *  finite. */
async function trained(few: FewLabels, begin: Beginning, lr: number) {
  const { gpu, config, settings, progress } = few
  const { images, seed } = begin
  const { steps, weightDecay } = settings
  const encoder = begin.encoder()
  const batch = Math.min(settings.batch, images.size)
  const rise = Math.ceil(steps / 10)
  const recipe = recipeOf(config.views, 0)
  const [views, tested] = [cropAndFlip(recipe), testTransform(recipe)]
  const probe = begin.learned ? { probe: await firstClassifier(few, encoder, begin) } : {}
  const { step, scores, state, parameters } = fineTuner(gpu, {
    ...{ encoder, classes: images.classes.length, seed, image: shapeOf(images), ...probe },
    views: (x, at) => augment(x, at === null ? tested : views, { seed, step: at ?? 0, view: 0 }),
    optimizer: (all) => new AdamW(all, { weightDecay }),
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
  return { scores, model: { ...encoder, parameters } }
}

/** Fits the classifier with which fine-tuning begins, to the features as they are. */
async function firstClassifier(
  { gpu, config }: FewLabels,
  model: Model,
  { images, seed }: Beginning,
) {
  const tested = testTransform(recipeOf(config.views, 0))
  const encode = (x: Tensor) =>
    model.forward(augment(x, tested, { seed: 0, step: 0, view: 0 }), { training: false })
  const rows = await embed(gpu, encode, batchesInOrder(images), shapeOf(images))
  const classes = images.classes.length
  return linearProbe(inF32(gpu), rows, knownLabels(images), { classes, seed })
}

const shapeOf = ({ image: { height, width, channels } }: Dataset) =>
  [height, width, channels] as const
