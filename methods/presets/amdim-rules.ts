// AMDIM's settings and their rules.

import * as v from 'valibot'
import type { Recipe } from '../../kernels/augment/recipes.ts'
import { type Schedule, multiStep } from '../../engine/optim/schedule.ts'
import { AmdimSizeError, amdimMaps } from '../../models/amdim-layers.ts'
import type { Configured } from '../entry.ts'
import type { Wrong } from '../settings/batch.ts'
import { MOST_CHANNELS } from '../settings/encoders.ts'
import { features } from '../settings/heads.ts'
import { recipe } from '../settings/recipe.ts'
import {
  belowOne,
  divisor,
  fields,
  bool,
  nonNegative,
  wordOf,
  positiveNumber,
  integer,
} from '../settings/rules.ts'
import { type MethodSettings, lengthRules } from '../settings/settings.ts'

/** Settings of AMDIM. */
export interface AmdimSettings extends MethodSettings {
  /** `width` is the authors' ndf, `features` their n_rkhs, `depth` their n_depth. */
  readonly model: {
    readonly name: 'amdim'
    readonly width: number
    readonly features: number
    readonly depth: number
    readonly batchNorm: boolean
  }
  readonly classifiers: { readonly hidden: number; readonly dropout: number }
  readonly views: Recipe
  /** c and λ of the loss. */
  readonly clip: number
  readonly penalty: number
  readonly optimizer: {
    readonly name: 'adam'
    readonly betas: readonly [number, number]
    readonly weightDecay: number
  }
  /** The rate climbs to `lr` over `warmupSteps` steps. Each milestone, in epochs, multiplies it by
   *  `gamma`. */
  readonly schedule: {
    readonly name: 'step'
    readonly lr: number
    readonly warmupSteps: number
    readonly milestones: readonly number[]
    readonly gamma: number
  }
  readonly batch: number
  /** Images encoded at a time; the whole batch by default. */
  readonly chunk?: number | null
  readonly epochs: number
  /** Training of classifiers on the frozen encoder, by kindred eval. */
  readonly evaluation: { readonly epochs: number; readonly milestones: readonly number[] }
  readonly knn: { readonly temperature: number }
}

const milestones = v.pipe(
  v.array(nonNegative, 'a list of epochs'),
  v.check(
    (list) => list.every((epoch, i) => epoch >= (list[i - 1] ?? 0)),
    'a list of epochs in rising order',
  ),
)
const betas = v.strictTuple([belowOne, belowOne], 'two numbers')

/** The rule of each setting. */
export const amdimRules = {
  model: fields({
    name: wordOf('amdim'),
    width: integer(1, MOST_CHANNELS),
    features,
    depth: integer(1),
    batchNorm: bool,
  }),
  classifiers: fields({ hidden: features, dropout: belowOne }),
  views: recipe,
  clip: divisor,
  penalty: nonNegative,
  optimizer: fields({ name: wordOf('adam'), betas, weightDecay: nonNegative }),
  schedule: fields({
    name: wordOf('step'),
    lr: positiveNumber,
    warmupSteps: integer(0),
    milestones,
    gamma: positiveNumber,
  }),
  ...lengthRules,
  evaluation: fields({ epochs: integer(1), milestones }),
}

/** Returns the reason if the encoder has no layers for the size or the features, else null. */
export function checkMaps({ size, model }: Configured<AmdimSettings>): Wrong | null {
  try {
    amdimMaps({ size, ...model })
    return null
  } catch (error) {
    if (!(error instanceof AmdimSizeError)) throw error
    return { setting: error.option === 'size' ? 'size' : 'model.features', reason: error.reason }
  }
}

/** Makes the learning rate of each step: it climbs over the first steps, and decays at milestones.
 *  The climb does not move the milestones. */
export function amdimSchedule(
  { lr, warmupSteps, milestones: epochs, gamma }: AmdimSettings['schedule'],
  stepsPerEpoch: number,
): Schedule {
  const steps = epochs.map((epoch) => epoch * stepsPerEpoch)
  const decayed = multiStep(lr, steps, gamma)
  return (t) => (t + 1 < warmupSteps ? (decayed(t) * (t + 1)) / warmupSteps : decayed(t))
}
