// The options of the optimizers, and their rules.

import type { Variable } from '../../kernels/op.ts'
import {
  type Rules,
  callback,
  checkOptions,
  flag,
  notNegative,
  share,
} from '../../kernels/options.ts'
import type { LarsTreatment, Treat } from './treatments.ts'

export interface SgdOptions {
  readonly momentum?: number
  readonly nesterov?: boolean
  /** Adds weightDecay times the weight to the gradient, for every parameter. */
  readonly weightDecay?: number
  /** Returns what differs for a parameter. */
  readonly treat?: Treat
}

export interface AdamOptions {
  readonly betas?: readonly [number, number]
  readonly eps?: number
  readonly weightDecay?: number
  /** Returns what differs for a parameter. */
  readonly treat?: Treat
}

export interface LarsOptions {
  readonly momentum?: number
  readonly nesterov?: boolean
  readonly weightDecay?: number
  /** The trust coefficient, 0.001 in the SimCLR paper. */
  readonly eta?: number
  /** True (the default) folds the learning rate into the momentum, as google-research/simclr
   *  does. */
  readonly classic?: boolean
  /** Tells which parameters get neither weight decay nor trust ratio, unless `treat` says so; by
   *  default biases and parameters of norms. */
  readonly exclude?: (name: string, parameter: Variable) => boolean
  /** Returns what differs for a parameter. */
  readonly treat?: Treat<LarsTreatment>
}

/** Tells whether a parameter is a bias or of a norm, which are the 1-d ones. LARS applies neither
 *  weight decay nor trust ratio to them. */
export const biasOrNorm = (_name: string, parameter: Variable) => parameter.shape.length <= 1

export const sgdRules: Rules<SgdOptions> = {
  momentum: share,
  nesterov: flag,
  weightDecay: notNegative,
  treat: callback,
}

const isPairOfShares = (v: unknown) => Array.isArray(v) && v.length === 2 && v.every(share.fits)
export const adamRules: Rules<AdamOptions> = {
  betas: { words: 'two numbers from 0 to 1, [beta1, beta2]', fits: isPairOfShares },
  eps: notNegative,
  weightDecay: notNegative,
  treat: callback,
}

export const larsRules: Rules<LarsOptions> = {
  momentum: share,
  nesterov: flag,
  weightDecay: notNegative,
  eta: notNegative,
  classic: flag,
  exclude: callback,
  treat: callback,
}

/** Checks an optimizer's options. Throws TypeError; for a learning rate it says where that
 *  belongs. */
export function optimizerOptions<T extends object>(name: string, options: T, rules: Rules<T>): T {
  const rate = isRecord(options) && ['lr', 'learningRate'].find((key) => key in options)
  if (rate)
    throw new TypeError(
      `${name}: the learning rate is no option of the optimizer, got '${rate}'; give it to each step, optimizer.step(gradients, lr)`,
    )
  return checkOptions(name, options, rules)
}

const isRecord = (value: unknown): value is object => typeof value === 'object' && value !== null
