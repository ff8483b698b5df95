// The optimizers: their options, and their updates as rules over flat parameters.

import type { Variable } from '../../kernels/op.ts'
import {
  type Rules,
  callback,
  checkOptions,
  flag,
  notNegative,
  share,
} from '../../kernels/options.ts'
import { adam, sgd } from '../../kernels/optim/update.ts'
import { lars } from '../../kernels/optim/update-lars.ts'
import type { Named } from '../named.ts'
import { type FlatOptimizer, type Optimizer, RuleOptimizer } from './flat-optimizer.ts'

export type { FlatOptimizer, Named, Optimizer }

/** Tells whether a parameter is a bias or of a norm, which are the 1-d ones. LARS applies neither
 *  weight decay nor trust ratio to them. */
export const biasOrNorm = (_name: string, parameter: Variable) => parameter.shape.length <= 1

const sgdRules = { momentum: share, nesterov: flag, weightDecay: notNegative }

const isPairOfShares = (v: unknown) => Array.isArray(v) && v.length === 2 && v.every(share.fits)
const adamRules = {
  betas: { words: 'two numbers from 0 to 1, [beta1, beta2]', fits: isPairOfShares },
  eps: notNegative,
  weightDecay: notNegative,
}

const larsRules = { ...sgdRules, eta: notNegative, classic: flag, exclude: callback }

/** Checks an optimizer's options. Throws TypeError; for a learning rate it says where that
 *  belongs. */
function optionsOf<T extends object>(name: string, options: T, rules: Rules<T>): T {
  const rate = isRecord(options) && ['lr', 'learningRate'].find((key) => key in options)
  if (rate)
    throw new TypeError(
      `${name}: the learning rate is no option of the optimizer, got '${rate}'; give it to each step, optimizer.step(gradients, lr)`,
    )
  return checkOptions(name, options, rules)
}

const isRecord = (value: unknown): value is object => typeof value === 'object' && value !== null

/** Options of `Sgd`. */
export interface SgdOptions {
  /** Factor of the last velocity v in v <- momentum v + gradient, from 0 to 1; 0 by default. */
  readonly momentum?: number
  /** True steps by gradient + momentum v (Nesterov), false (the default) by v. */
  readonly nesterov?: boolean
  /** Factor of the weight that is added to its gradient, for every parameter; 0 by default. */
  readonly weightDecay?: number
}

/** Stochastic gradient descent as torch.optim.SGD defines it:  g <- g + weightDecay w,
 *  v <- momentum v + g,  w <- w - lr v. `state.momentum` is v. */
export class Sgd extends RuleOptimizer<{ readonly momentum: Variable }> {
  /** Moves the parameters, with their values, into one flat variable. Throws TypeError for other
   *  arguments, and Error where there are no parameters, or one stands twice. */
  constructor(parameters: Named, options: SgdOptions = {}) {
    const { momentum = 0, nesterov = false, weightDecay = 0 } = optionsOf('Sgd', options, sgdRules)
    super(parameters, {
      treat: () => ({ weightDecay, adapted: false }),
      makeState: (zeros) => ({ momentum: zeros() }),
      update: ({ run, layout, flat, state, lr }) =>
        sgd(run, layout, { ...flat, velocity: state.momentum }, { lr, momentum, nesterov }),
    })
  }
}

/** Options of `Adam` and `AdamW`. */
export interface AdamOptions {
  /** Decay per step of the averages of the gradient and of its square, from 0 to 1; [0.9, 0.999] by
   *  default. */
  readonly betas?: readonly [number, number]
  /** Added to the root of the averaged square; 1e-8 by default. */
  readonly eps?: number
  /** In `Adam` the factor of the weight that is added to its gradient, 0 by default. In `AdamW`
   *  each step multiplies the weight by 1 - lr weightDecay; 0.01 by default. */
  readonly weightDecay?: number
}

interface Moments extends Named {
  readonly exp_avg: Variable
  readonly exp_avg_sq: Variable
}

/** Adam with weight decay added to the gradient, as torch.optim.Adam defines it, with one
 *  difference: bias correction counts the optimizer's steps, where torch counts each parameter's
 *  own. So a parameter whose first gradient comes late begins with smaller steps. */
export class Adam extends RuleOptimizer<Moments> {
  /** Moves the parameters as `Sgd` does. `decoupled` is for `AdamW`. Throws like `Sgd`. */
  constructor(parameters: Named, options: AdamOptions = {}, decoupled = false) {
    const name = decoupled ? 'AdamW' : 'Adam'
    const {
      betas = [0.9, 0.999],
      eps = 1e-8,
      weightDecay = 0,
    } = optionsOf(name, options, adamRules)
    super(parameters, {
      treat: () => ({ weightDecay, adapted: false }),
      makeState: (zeros) => ({ exp_avg: zeros(), exp_avg_sq: zeros() }),
      update: ({ run, layout, flat, state, lr, t }) => {
        const moments = { first: state.exp_avg, second: state.exp_avg_sq }
        adam(run, layout, { ...flat, ...moments }, { lr, betas, eps, decoupled, t })
      },
    })
  }
}

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019), as torch.optim.AdamW defines it;
 *  decay 0.01 by default. */
export class AdamW extends Adam {
  /** Moves the parameters as `Sgd` does. Throws like `Sgd`. */
  constructor(parameters: Named, options: AdamOptions = {}) {
    super(parameters, { weightDecay: 0.01, ...optionsOf('AdamW', options, adamRules) }, true)
  }
}

/** Options of `Lars`. */
export interface LarsOptions {
  /** Factor of the last velocity, from 0 to 1; 0.9 by default. */
  readonly momentum?: number
  /** True steps by momentum velocity + update (Nesterov); false by default. */
  readonly nesterov?: boolean
  /** Factor of the weight that is added to its gradient; 0 by default. */
  readonly weightDecay?: number
  /** Factor of the trust ratio eta |w| / |g|; 0.001 by default, as in the SimCLR paper. */
  readonly eta?: number
  /** True (the default) multiplies by trust ratio and learning rate before the momentum, as
   *  google-research/simclr does:  v <- momentum v + trust lr g. False multiplies after it. */
  readonly classic?: boolean
  /** Tells which parameters get neither weight decay nor trust ratio; by default biases and
   *  parameters of norms. */
  readonly exclude?: (name: string, parameter: Variable) => boolean
}

/** Layer-wise adaptive rate scaling (You, Gitman & Ginsburg 2017,
 *  https://arxiv.org/abs/1708.03888), the SimCLR paper's optimizer for large batches.
 *  `state.momentum` is the velocity. */
export class Lars extends RuleOptimizer<{ readonly momentum: Variable }> {
  /** Moves the parameters as `Sgd` does. Throws like `Sgd`. */
  constructor(parameters: Named, options: LarsOptions = {}) {
    const {
      momentum = 0.9,
      nesterov = false,
      weightDecay = 0,
      eta = 0.001,
      classic = true,
      exclude = biasOrNorm,
    } = optionsOf('Lars', options, larsRules)
    const params = { momentum, nesterov, eta, classic }
    super(parameters, {
      treat: (name, parameter) =>
        exclude(name, parameter)
          ? { weightDecay: 0, adapted: false }
          : { weightDecay, adapted: true },
      makeState: (zeros) => ({ momentum: zeros() }),
      update: ({ run, layout, flat, state, lr }) =>
        lars(run, layout, { ...flat, velocity: state.momentum }, { lr, ...params }),
    })
  }
}
