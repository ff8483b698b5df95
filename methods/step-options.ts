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
  whole,
} from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { LossScaler } from '../engine/optim/loss-scaler.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import { type Schedule, scheduleOf } from '../engine/optim/schedule.ts'
import { checkGpu } from '../models/layers.ts'
import { type Parts, entriesOf } from '../models/parts.ts'
import type { Views } from './views.ts'

/** The options of every method beside its networks and optimizer. */
export interface StepOptions {
  /** Learning rate at each step, or the same at all. */
  readonly schedule: Schedule | number
  /** Models, variables, or several by name that the optimizer leaves alone. Every other parameter
   *  must be the optimizer's. */
  readonly frozen?: Parts | readonly Parts[]
  /** With `chunk` a function is called several times for the same images, and must give the same
   *  each time. */
  readonly views: Views
  /** Images encoded at a time, at most; all of them unless given. A larger batch then needs no more
   *  memory for activations. The gradient is the whole batch's, but batch norm's statistics are a
   *  chunk's. */
  readonly chunk?: number | null
  readonly seed?: number
  /** True (the default) captures steps and replays them, to the same bits; false runs them one by
   *  one. */
  readonly capture?: boolean
  /** Scales the loss, for a Gpu of precision f16. */
  readonly scaler?: LossScaler
}

/** The rules of these options. */
export const stepRules: Rules<StepOptions> = {
  schedule: needed(scheduled),
  views: needed(either(record, either(having('a pair of recipes', '0', '1'), callback))),
  chunk: anything,
  seed: whole,
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
