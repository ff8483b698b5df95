// Trains a whole network on few labels: the same steps, views and choice of the learning rate from
// learned weights and from scratch.

import { augment } from '../kernels/augment/augment.ts'
import { type Recipe, cropAndFlip, defaults, testTransform } from '../kernels/augment/recipes.ts'
import type { Tensor } from '../kernels/op.ts'
import type { Dataset } from '../data/dataset.ts'
import { batches, countSteps } from '../data/loader.ts'
import { select } from '../data/select.ts'
import { AdamW } from '../engine/optim/optimizer.ts'
import { cosine, warmup } from '../engine/optim/schedule.ts'
import { embed } from '../evaluate/embed.ts'
import { fineTuner } from '../evaluate/fine-tune.ts'
import { type Parted, folds } from '../evaluate/held-out.ts'
import { inF32 } from '../evaluate/in-f32.ts'
import { linearProbe } from '../evaluate/linear-probe.ts'
import { recipeOf } from '../methods/views.ts'
import type { Model } from '../models/model.ts'
import { saveModel } from '../models/state.ts'
import { batchesInOrder, knownLabels } from '../training/knn.ts'
import type { FewLabels, TrainedCell } from './few-label-training.ts'
import { entropyOf, labelledBatches, percentRight } from './labelled-images.ts'

const ENOUGH = 100 // held-out labels on which a rate is judged, if there are as many

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

/** One training of a network among those of a cell. */
interface Turn {
  readonly lr: number
  /** Its number, from 1 on, and how many there are. */
  readonly training: number
  readonly trainings: number
  /** Which part of the labels is held out, from 1 on, and of how many; absent in the last. */
  readonly heldOutPart?: number
  readonly heldOutParts?: number
}

/** Trains a network, at the learning rate that does best on held-out labels, where there are
 *  several. */
export async function tunedNetwork(few: FewLabels, begin: Beginning): Promise<TrainedCell> {
  const isChosen = few.rates.length > 1
  const ways = isChosen ? folds(knownLabels(begin.images), begin.seed, ENOUGH) : []
  const chosen = await chosenRate(few, begin, ways)
  const { lr } = chosen
  const trainings = countTrainings(few, ways)
  const { scores, model } = await trained(few, begin, { lr, training: trainings, trainings })
  const accuracy = percentRight(await scores(labelledBatches(few.test)), few.test)
  return { accuracy, ...chosen, tensors: await saveModel(few.gpu, model) }
}

/** Chooses the learning rate by the accuracy on held-out labels. With learned weights 0 is a choice
 *  too, the linear probe as it is, and the lowest of equals is taken; from scratch that of the
 *  lower cross entropy. Takes the middle one where no label can be held out. */
async function chosenRate(few: FewLabels, begin: Beginning, ways: readonly Parted[]) {
  const { rates, progress } = few
  const middle = rates[Math.floor((rates.length - 1) / 2)]
  if (middle === undefined) throw new Error('there is no learning rate to choose')
  if (rates.length === 1) return { lr: middle }
  if (ways.length === 0) {
    progress.note(
      `no class has 2 labels, to hold one out: takes the middle learning rate ${middle}`,
    )
    return { lr: middle }
  }
  let best: { lr: number; heldOut: number; entropy: number } | null = null
  for (const lr of begin.learned ? [0, ...rates] : rates) {
    const { heldOut, entropy, labels } = await judged(few, begin, { ways, lr })
    const what = lr === 0 ? ', the linear probe' : ''
    progress.note(`learning rate ${lr}${what}: ${heldOut.toFixed(1)}% of ${labels} labels held out`)
    const isBetter =
      !best ||
      heldOut > best.heldOut ||
      (!begin.learned && heldOut === best.heldOut && entropy < best.entropy)
    if (isBetter) best = { lr, heldOut, entropy }
  }
  const { lr, heldOut } = best ?? { lr: middle, heldOut: 0 }
  return { lr, heldOut }
}

/** Trains at a rate on each way to hold labels out. Returns the percentage and the mean cross
 *  entropy of all that were held out. */
async function judged(
  few: FewLabels,
  begin: Beginning,
  { ways, lr }: { readonly ways: readonly Parted[]; readonly lr: number },
) {
  let [right, entropy, labels] = [0, 0, 0]
  const before = few.rates.indexOf(lr) * ways.length
  const trainings = countTrainings(few, ways)
  for (const [i, { fit, held }] of ways.entries()) {
    const others = select(begin.images, held)
    const turn = { lr, training: before + i + 1, trainings }
    const part = { heldOutPart: i + 1, heldOutParts: ways.length }
    const fitted = { ...begin, images: select(begin.images, fit) }
    const { scores } = await trained(few, fitted, { ...turn, ...part })
    const own = await scores(labelledBatches(others))
    right += own.every(Number.isFinite) ? percentRight(own, others) * others.size : 0
    entropy += entropyOf(own, others) * others.size
    labels += others.size
  }
  return { heldOut: right / labels, entropy: entropy / labels, labels }
}

/** Trains a new network for the budget's steps, on crops and flips; at rate 0 it stays as it
 *  begins. Throws Error if the loss is not finite. */
async function trained(few: FewLabels, begin: Beginning, turn: Turn) {
  const { gpu, config, settings, progress } = few
  const { images, seed } = begin
  const { weightDecay } = settings
  const { lr } = turn
  const steps = lr === 0 ? 0 : settings.steps
  const encoder = begin.encoder()
  const batch = Math.min(settings.batch, images.size)
  const rise = Math.ceil(steps / 10)
  const recipe = recipeOf(config.views, 0)
  const [views, tested] = [mildViews(recipe), testTransform(recipe)]
  const probe = begin.learned ? { probe: await firstClassifier(few, encoder, begin) } : {}
  const { step, scores, state, parameters } = fineTuner(gpu, {
    ...{ encoder, classes: images.classes.length, seed, image: shapeOf(images), ...probe },
    views: (x, at) => augment(x, at === null ? tested : views, { seed, step: at ?? 0, view: 0 }),
    optimizer: (all) => new AdamW(all, { weightDecay }),
    schedule: warmup(rise, cosine(lr, Math.max(1, steps - rise))),
  })
  if (steps > 0 && turn.trainings > 1) progress.note(inWords(turn), turn)
  progress.start(steps)
  const perEpoch = countSteps(images, { batch })
  for (let epoch = 0; epoch * perEpoch < steps; epoch++)
    for await (const { images: pixels, labels } of batches(images, { batch, seed, epoch })) {
      if (state.step >= steps || !labels) break
      const [loss = NaN] = await gpu.read(step({ images: pixels, labels }))
      if (!Number.isFinite(loss)) throw new Error(`the loss became ${loss}; lower --lr`)
      progress.update(state.step, { loss, images: batch, ...turn })
    }
  progress.stop()
  return { scores, model: { ...encoder, parameters } }
}

/** Returns how many trainings a network takes, at most: rate 0 needs none. */
const countTrainings = ({ rates }: FewLabels, ways: readonly Parted[]) =>
  rates.length * ways.length + 1

const inWords = ({ lr, training, trainings, heldOutPart, heldOutParts }: Turn) =>
  `learning rate ${lr}, ` +
  (heldOutPart === undefined ? 'all labels' : `held-out part ${heldOutPart} of ${heldOutParts}`) +
  `, training ${training} of ${trainings}`

/** Crops of half the image or more, and flips. A few steps on crops of 8 % and more, which contrast
 *  needs, would teach the network parts of images (docs/few-labels.md has figures). */
const mildViews = (recipe: Recipe): Recipe => ({
  ...cropAndFlip(recipe),
  crop: { scale: [0.5, 1], ratio: defaults.ratio },
})

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
