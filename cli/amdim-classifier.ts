// How AMDIM's authors train classifiers of frozen features: by Adam, with dropout, on images
// augmented as in the run.

import { augment } from '../kernels/augment/augment.ts'
import { type Recipe, testTransform } from '../kernels/augment/recipes.ts'
import { Adam } from '../engine/optim/optimizer.ts'
import { type AmdimSettings, amdimSchedule } from '../methods/presets/amdim-rules.ts'
import { fittingBatch } from '../methods/settings/batch.ts'
import { recipeOf } from '../methods/views.ts'
import { classifiers } from '../models/classifiers.ts'
import { classifier } from '../evaluate/classify.ts'
import { UsageError } from '../training/choice.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import type { ClassifierFlags, EpochTraining, Subject } from './classifier-subject.ts'

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
  return { epochs, shape, schedule: { ...schedule, milestones } }
}

/** Returns the training of a subject's classifier. Throws UsageError for a batch that batch norm
 *  cannot use. */
export function amdimTraining(subject: Subject): EpochTraining {
  const { kind, config, flags, train } = subject
  const batch = flags.batch ?? fittingBatch(config.batch, train.size)
  if (kind === 'mlp' && batch < 2)
    throw new UsageError(
      `--batch: the MLP's batch norm needs 2 images or more at a time, got ${batch}`,
    )
  const { epochs, schedule } = settingsOf(config, flags)
  const begin = (lr: number, stepsPerEpoch: number) => classifierOf(subject, stepsPerEpoch, lr)
  return { epochs, batch, dropLast: true, lr: flags.lr ?? schedule.lr, begin }
}

/** Makes the classifier at step 0. */
function classifierOf(
  { gpu, kind, config, encoder, flags, train }: Subject,
  stepsPerEpoch: number,
  lr: number,
) {
  const seed = flags.seed ?? config.seed
  const { epochs, schedule, shape } = settingsOf(config, flags)
  const { features } = encoder
  const heads = classifiers(gpu, { features, classes: train.classes.length, ...shape, seed })
  const { height, width, channels } = train.image
  const tested = testTransform(recipeOf(config.views, 0))
  const views: Recipe = flags.augment === false ? tested : recipeOf(config.views, 0)
  return classifier(gpu, {
    features: (x, at) =>
      encoder.forward(
        at === null
          ? augment(x, tested, { seed: 0, step: 0, view: 0 })
          : augment(x, views, { seed, step: at, view: 0 }),
        { training: false },
      ),
    classify: heads[kind],
    optimizer: new Adam(heads.parameters, { betas: [0.8, 0.999], weightDecay: 1e-5 }),
    schedule: amdimSchedule({ ...climbing(schedule, epochs * stepsPerEpoch), lr }, stepsPerEpoch),
    image: [height, width, channels],
    seed,
  })
}

/** Limits the warm-up to a tenth of all steps, since an evaluation may be short. */
const climbing = (schedule: AmdimSettings['schedule'], total: number) => ({
  ...schedule,
  warmupSteps: Math.min(schedule.warmupSteps, Math.ceil(total / 10)),
})
