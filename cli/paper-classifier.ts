// Classifiers trained as AMDIM's authors do: by Adam, over epochs of augmented images, which are
// encoded again in each epoch.

import { type Recipe, testTransform } from '../kernels/augment/recipes.ts'
import { augment } from '../kernels/augment/augment.ts'
import { batches, countSteps } from '../data/loader.ts'
import { select } from '../data/select.ts'
import { Adam } from '../engine/optim/optimizer.ts'
import { type AmdimSettings, amdimSchedule } from '../methods/presets/amdim-rules.ts'
import { fittingBatch } from '../methods/settings/batch.ts'
import { recipeOf } from '../methods/views.ts'
import { classifiers } from '../models/classifiers.ts'
import { classifier } from '../evaluate/classify.ts'
import { parted } from '../evaluate/held-out.ts'
import { UsageError } from '../training/choice.ts'
import type { ClassifierFlags, Subject } from './classifier-subject.ts'
import { labelledBatches, percentRight } from './labelled-images.ts'
import type { TrainConfig } from '../training/run-schema.ts'

/** Settings of AMDIM's authors, for runs that have none of their own. */
const usual = {
  evaluation: { epochs: 120, milestones: [80, 110] },
  classifiers: { hidden: 1024, dropout: 0.2 },
  schedule: { name: 'step', lr: 2e-4, warmupSteps: 500, milestones: [], gamma: 0.2 },
} as const satisfies Pick<AmdimSettings, 'evaluation' | 'classifiers' | 'schedule'>

/** Returns the run's settings of a classifier. Scales its milestones with the epochs. */
function settingsOf(config: TrainConfig, flags: ClassifierFlags) {
  const own = 'evaluation' in config ? (config as Partial<TrainConfig & AmdimSettings>) : usual
  const { evaluation, classifiers: shape, schedule } = { ...usual, ...own }
  const epochs = flags.epochs ?? evaluation.epochs
  const milestones = evaluation.milestones.map((epoch) => (epoch * epochs) / evaluation.epochs)
  return { epochs, shape, schedule: { ...schedule, lr: flags.lr ?? schedule.lr, milestones } }
}

/** Trains a classifier by epochs, and scores it on every test image. With --sweep, chooses the
 *  learning rate on held-out training images first. Throws UsageError for a batch that batch norm
 *  cannot use, and Error if the loss is not finite. */
export async function trainByEpochs(subject: Subject) {
  const { flags, train, test, progress } = subject
  const sweep = flags.sweep === undefined ? null : await sweepRates(subject)
  const { epochs, scores, lr } = await trainedBy(subject, sweep?.lr ?? flags.lr)
  progress.stop() // prints its last line before the result
  const judged = await scores(labelledBatches(test))
  return {
    scores: judged,
    accuracy: percentRight(judged, test),
    ...{ epochs, train: train.size, lr, sweep: sweep?.tried ?? null },
  }
}

const FACTORS = [0.1, 1 / 3, 1, 3, 10, 30] // of the usual learning rate, in a sweep

/** Trains on four fifths of each class with each learning rate, and returns the one that does best
 *  on the last fifth, the lowest of equals. Throws UsageError if no image can be held out. */
async function sweepRates(subject: Subject) {
  const { config, flags, train, progress } = subject
  const { fit, held } = parted(train.labels ?? [], flags.seed ?? config.seed)
  if (held.length === 0)
    throw new UsageError(
      '--sweep: needs a class of two training images or more to hold one out, got none; leave it out',
    )
  const part = { ...subject, train: select(train, fit) }
  const others = select(train, held)
  const usualRate = settingsOf(config, flags).schedule.lr
  const rates =
    flags.sweep === true || !flags.sweep
      ? FACTORS.map((factor) => Number((factor * usualRate).toPrecision(2)))
      : [...flags.sweep]
  const tried: { readonly lr: number; readonly heldOut: number }[] = []
  for (const lr of rates.sort((a, b) => a - b)) {
    const { scores } = await trainedBy(part, lr)
    const heldOut = percentRight(await scores(labelledBatches(others)), others)
    tried.push({ lr, heldOut })
    progress.note(`learning rate ${lr}: ${heldOut.toFixed(2)}% of the training images held out`, {
      lr,
      heldOut,
    })
  }
  const best = tried.reduce((a, b) => (b.heldOut > a.heldOut ? b : a))
  return { lr: best.lr, tried }
}

/** Trains a new classifier to its last epoch, at a learning rate or the usual one. */
async function trainedBy(subject: Subject, lr: number | undefined) {
  const { gpu, kind, config, flags, train, progress } = subject
  const seed = flags.seed ?? config.seed
  const batch = flags.batch ?? fittingBatch(config.batch, train.size)
  if (kind === 'mlp' && batch < 2)
    throw new UsageError(
      `--batch: the MLP's batch norm needs 2 images or more at a time, got ${batch}`,
    )
  const stepsPerEpoch = countSteps(train, { batch })
  const made = classifierOf(subject, stepsPerEpoch, lr)
  const { epochs, step, state } = made
  progress.start(epochs * stepsPerEpoch)
  for (let epoch = 0; epoch < epochs; epoch++)
    for await (const { images, labels } of batches(train, { batch, seed, epoch })) {
      if (!labels) throw new Error('no labels')
      const [loss = NaN] = await gpu.read(step({ images, labels }))
      if (!Number.isFinite(loss)) throw new Error(`the loss became ${loss}; lower --lr`)
      progress.update(state.step, { loss, images: batch })
    }
  return made
}

/** Makes the classifier at step 0, and returns its number of epochs too. */
function classifierOf(
  { gpu, kind, config, encoder, flags, train }: Subject,
  stepsPerEpoch: number,
  lr: number | undefined,
) {
  const seed = flags.seed ?? config.seed
  const { epochs, schedule, shape } = settingsOf(config, {
    ...flags,
    ...(lr === undefined ? {} : { lr }),
  })
  const { features } = encoder
  const heads = classifiers(gpu, { features, classes: train.classes.length, ...shape, seed })
  const { height, width, channels } = train.image
  const tested = testTransform(recipeOf(config.views, 0))
  const views: Recipe = flags.augment === false ? tested : recipeOf(config.views, 0)
  const made = classifier(gpu, {
    features: (x, at) =>
      encoder.forward(
        at === null
          ? augment(x, tested, { seed: 0, step: 0, view: 0 })
          : augment(x, views, { seed, step: at, view: 0 }),
        { training: false },
      ),
    classify: heads[kind],
    optimizer: new Adam(heads.parameters, { betas: [0.8, 0.999], weightDecay: 1e-5 }),
    schedule: amdimSchedule(climbing(schedule, epochs * stepsPerEpoch), stepsPerEpoch),
    image: [height, width, channels],
    seed,
  })
  return { epochs, lr: schedule.lr, ...made }
}

/** Limits the warm-up to a tenth of all steps, since an evaluation may be short. */
const climbing = (schedule: AmdimSettings['schedule'], total: number) => ({
  ...schedule,
  warmupSteps: Math.min(schedule.warmupSteps, Math.ceil(total / 10)),
})
