// What AMDIM's settings are, and the rules that they obey.

import * as v from 'valibot'
import type { Recipe } from '../../kernels/augment/recipes.ts'
import { type Schedule, multiStep } from '../../engine/optim/schedule.ts'
import { amdimMaps } from '../../models/amdim-layers.ts'
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

/** Everything about an AMDIM run but its data, its length and its seed. */
export interface AmdimSettings extends MethodSettings {
  /** Width is the authors' ndf, features their n_rkhs, depth n_depth. */
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
  /** `lr` climbs over so many steps and is multiplied by `gamma` at each milestone, in epochs. */
  readonly schedule: {
    readonly name: 'step'
    readonly lr: number
    readonly warmupSteps: number
    readonly milestones: readonly number[]
    readonly gamma: number
  }
  readonly batch: number
  /** Images encoded at a time; a batch at once where there is none. */
  readonly chunk?: number | null
  readonly epochs: number
  /** Of classifiers trained on the frozen encoder afterwards. */
  readonly evaluation: { readonly epochs: number; readonly milestones: readonly number[] }
  readonly knn: { readonly temperature: number }
}

const milestones = v.array(nonNegative, 'a list of epochs')
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

/** What is wrong with a size or a number of features that the encoder has no layers for. */
export function checkMaps({ size, model }: Configured<AmdimSettings>): Wrong | null {
  try {
    amdimMaps({ size, ...model })
    return null
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const setting = error.message.includes('features must') ? 'model.features' : 'size'
    return { setting, reason: error.message.replace('amdimEncoder: ', '') }
  }
}

/** The learning rate at each step: decay by milestones, and a climb over the first steps that does
 *  not move them. */
export function amdimSchedule(
  { lr, warmupSteps, milestones: epochs, gamma }: AmdimSettings['schedule'],
  stepsPerEpoch: number,
): Schedule {
  const steps = epochs.map((epoch) => epoch * stepsPerEpoch)
  const decayed = multiStep(lr, steps, gamma)
  return (t) => (t + 1 < warmupSteps ? (decayed(t) * (t + 1)) / warmupSteps : decayed(t))
}
