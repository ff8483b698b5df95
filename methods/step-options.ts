// The options that all methods have, and the checks of all options.

import type { Variable } from '../kernels/op.ts'
import {
  type Rules,
  anything,
  callback,
  checkOptions,
  either,
  flag,
  having,
  needed,
  record,
  rule,
  scheduled,
} from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { LossScaler } from '../engine/optim/loss-scaler.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import { type Schedule, scheduleOf } from '../engine/optim/schedule.ts'
import { checkGpu } from '../models/model.ts'
import { type Parts, entriesOf } from '../models/parts.ts'
import type { Views } from './views.ts'

/** Options that every method has, besides its networks and its optimizer. */
export interface StepOptions {
  /** Learning rate, or a function from the step, counted from 0, to it. */
  readonly schedule: Schedule | number
  /** Models, towers, variables, or several of these by name, whose parameters stay as they are;
   *  none by default. The optimizer must have every other parameter of the method's networks, and
   *  none of these. */
  readonly frozen?: Parts | readonly Parts[]
  /** How views are made of images: a recipe, one for each of the two views, or a function. With
   *  `chunk` the function is called several times for the same images, and must return the same
   *  each time. */
  readonly views: Views
  /** Most images that are encoded at a time (GradCache); all by default. A larger batch then needs
   *  no more memory for activations. The gradient is that of the whole batch, but batch norm uses
   *  the statistics of a chunk. */
  readonly chunk?: number | null
  /** Seed of all random draws of the method, a whole number from 0; 0 by default. */
  readonly seed?: number
  /** True (the default) captures steps and replays them, to the same bits; false runs them one by
   *  one. */
  readonly capture?: boolean
  /** Scales the loss, so that gradients stay within the range of f16; for a Gpu of precision f16.
   *  None by default. */
  readonly scaler?: LossScaler
}

/** The rules of these options. */
export const stepRules: Rules<StepOptions> = {
  schedule: needed(scheduled),
  views: needed(either(record, either(having('a pair of recipes', '0', '1'), callback))),
  chunk: anything,
  seed: seedRule,
  capture: flag,
  scaler: having('a LossScaler', 'unscale'),
  frozen: anything,
}

/** The rules of networks and optimizers. */
export const model = having('a model such as resnet18(gpu)', 'forward', 'parameters', 'norms')
export const tower = rule('an encoder and a head, { encoder, head }', (v) => {
  const { encoder, head } = Object(v) as Record<string, unknown> // of what is no object, nothing
  return model.fits(encoder) && model.fits(head)
})
export const optimizerRule = having('an optimizer such as Sgd', 'step', 'state')
export const flatOptimizer = having('an optimizer such as Sgd', 'step', 'weights', 'parameters')

/** Checks the options of a method and returns them, schedules as functions. Throws TypeError naming
 *  an option that is unknown, missing or of the wrong kind, and Error where the optimizer lacks
 *  parameters of `trained` that are not said to be frozen. */
export function optionsOf<T extends StepOptions>(
  method: string,
  gpu: Gpu,
  options: T,
  rules: Rules<T>,
  trained: (options: T) => Parts | readonly Parts[],
): T & { readonly schedule: Schedule } {
  checkGpu(method, gpu)
  const checked = checkOptions(method, options ?? ({} as T), rules) // throws for missing options
  const { optimizer: updates, frozen } = checked as T & { readonly optimizer: Optimizer }
  checkTrained(method, updates, trained(checked), frozen)
  return { ...checked, schedule: scheduleOf(method, 'schedule', checked.schedule) }
}

/** Throws Error, in the name of `method`, for parameters of `wanted` that the optimizer lacks and
 *  that are not said to be frozen, and for frozen ones that it trains. Trusts an optimizer without
 *  `parameters`, one of the user's own. */
function checkTrained(
  method: string,
  { parameters, trained = parameters }: Optimizer,
  wanted: Parts | readonly Parts[],
  frozen: Parts | readonly Parts[] = [],
) {
  if (parameters === undefined || trained === undefined) return
  const updated = new Set(Object.values(parameters))
  const learning = new Set(Object.values(trained))
  const still = new Set<Variable>()
  for (const [name, variable] of entriesIn(method, frozen)) {
    if (learning.has(variable))
      throw new Error(
        `${method}: ${name} is said to be frozen, and the optimizer trains it; make the optimizer without it, or let its treat return { frozen: true }`,
      )
    still.add(variable)
  }
  const all = entriesIn(method, wanted)
  const missing = all.filter(([, variable]) => !updated.has(variable) && !still.has(variable))
  if (missing.length === 0) return
  const names = missing.slice(0, MAX_NAMES).map(([name]) => name)
  const more = missing.length > MAX_NAMES ? ` and ${missing.length - MAX_NAMES} more` : ''
  throw new Error(
    `${method}: the optimizer lacks ${missing.length} of ${all.length} parameters, ${names.join(', ')}${more}; make it of parametersOf({ encoder, head }), or name what is not to be trained, as in frozen: [encoder]`,
  )
}

const MAX_NAMES = 4 // in a message

const entriesIn = (method: string, parts: Parts | readonly Parts[]) =>
  (isList(parts) ? parts : [parts]).flatMap((part) => entriesOf(method, part))

const isList = (parts: Parts | readonly Parts[]): parts is readonly Parts[] => Array.isArray(parts)
