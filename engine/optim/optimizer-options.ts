// The options of the optimizers, and their rules.

import type { Variable } from '../../kernels/op.ts'
import {
  type Rules,
  callback,
  checkOptions,
  flag,
  notNegative,
  oneOf,
  positive,
  rule,
  share,
} from '../../kernels/options.ts'
import { type LarsForm, larsForms } from '../../kernels/optim/update-lars.ts'
import type { Schedule } from './schedule.ts'
import type { LarsTreatment, Treat, Treatment } from './treatments.ts'

/** The options of every optimizer. */
export interface CommonOptions<T extends Treatment = Treatment> {
  /** Factor of the weight: SGD, LARS and Adam add the product to its gradient, AdamW multiplies the
   *  weight by 1 - lr weightDecay. A number, or a function of the step, from 0. By default 0, of
   *  AdamW 0.01. */
  readonly weightDecay?: number | Schedule
  /** The most that the norm of all gradients together may be: larger ones are scaled down to it, as
   *  torch.nn.utils.clip_grad_norm_ does. Infinity only measures the norm. */
  readonly clip?: number
  /** Returns what differs for a parameter. */
  readonly treat?: Treat<T>
}

/** Options of `Sgd`. */
export interface SgdOptions extends CommonOptions {
  /** Factor of the last velocity v in v <- momentum v + gradient, from 0 to 1; 0 by default. */
  readonly momentum?: number
  /** True steps by gradient + momentum v (Nesterov), false (the default) by v. */
  readonly nesterov?: boolean
}

/** Options of `Adam` and `AdamW`. */
export interface AdamOptions extends CommonOptions {
  /** Decay per step of the averages of the gradient and of its square, from 0 to 1; [0.9, 0.999] by
   *  default. */
  readonly betas?: readonly [number, number]
  /** Added to the root of the averaged square; 1e-8 by default. */
  readonly eps?: number
}

/** Options of `Lars`. */
export interface LarsOptions extends CommonOptions<LarsTreatment> {
  /** Factor of the last velocity, from 0 to 1; 0.9 by default. */
  readonly momentum?: number
  /** True steps by momentum velocity + update (Nesterov); false by default. */
  readonly nesterov?: boolean
  /** Factor of the trust ratio eta |w| / |g|; 0.001 by default, as in the SimCLR paper. */
  readonly eta?: number
  /** The form, by the code that has it: 'simclr' (google-research/simclr, the default),
   *  'not-classic' (the same with classic_momentum=False), 'moco-v3' (also Barlow Twins'),
   *  'lightly' (also bolts'), or 'solo-learn' (with clip_lr). */
  readonly form?: LarsForm
  /** Tells which parameters get neither weight decay nor trust ratio, unless `treat` says so; by
   *  default biases and parameters of norms. */
  readonly exclude?: (name: string, parameter: Variable) => boolean
}

/** Tells whether a parameter is a bias or of a norm, which are the 1-d ones. LARS applies neither
 *  weight decay nor trust ratio to them. */
export const biasOrNorm = (_name: string, parameter: Variable) => parameter.shape.length <= 1

const decay = rule(
  `${notNegative.words}, or a function of the step, t => number`,
  (v) => typeof v === 'function' || notNegative.fits(v),
)
const common = { weightDecay: decay, clip: positive, treat: callback }

export const sgdRules: Rules<SgdOptions> = { momentum: share, nesterov: flag, ...common }

const isPairOfShares = (v: unknown) => Array.isArray(v) && v.length === 2 && v.every(share.fits)
export const adamRules: Rules<AdamOptions> = {
  betas: { words: 'two numbers from 0 to 1, [beta1, beta2]', fits: isPairOfShares },
  eps: notNegative,
  ...common,
}

export const larsRules: Rules<LarsOptions> = {
  momentum: share,
  nesterov: flag,
  eta: notNegative,
  form: oneOf(...larsForms),
  exclude: callback,
  ...common,
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
