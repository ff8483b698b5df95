// The optimizers: their updates as rules over flat parameters.

import type { Variable } from '../../kernels/op.ts'
import { adam, sgd } from '../../kernels/optim/update.ts'
import { lars } from '../../kernels/optim/update-lars.ts'
import type { Named } from '../named.ts'
import { type FlatOptimizer, type Optimizer, RuleOptimizer } from './flat-optimizer.ts'
import {
  type AdamOptions,
  type LarsOptions,
  type SgdOptions,
  adamRules,
  biasOrNorm,
  larsRules,
  optimizerOptions,
  sgdRules,
} from './optimizer-options.ts'
import { larsTreatmentRules, settingsBy, treatmentRules } from './treatments.ts'

export type { FlatOptimizer, Named, Optimizer }

/** Stochastic gradient descent as torch.optim.SGD defines it:  g <- g + weightDecay w,
 *  v <- momentum v + g,  w <- w - lr v. `state.momentum` is v. */
export class Sgd extends RuleOptimizer<{ readonly momentum: Variable }> {
  /** Moves the parameters, with their values, into one flat variable. Throws TypeError for other
   *  arguments, and Error where there are no parameters, or one stands twice. */
  constructor(parameters: Named, options: SgdOptions = {}) {
    const {
      momentum = 0,
      nesterov = false,
      weightDecay = 0,
      clip,
      treat,
    } = optimizerOptions('Sgd', options, sgdRules)
    const usual = () => ({ weightDecay, adapted: false })
    super(parameters, {
      settingsOf: settingsBy('Sgd', usual, treat, treatmentRules),
      weightDecay,
      clip,
      makeState: (zeros) => ({ momentum: zeros() }),
      update: ({ run, layout, flat, state, lr }) =>
        sgd(run, layout, { ...flat, velocity: state.momentum }, { lr, momentum, nesterov }),
    })
  }
}

interface Moments extends Named {
  readonly exp_avg: Variable
  readonly exp_avg_sq: Variable
}

/** Adam with weight decay added to the gradient, as torch.optim.Adam defines it, with one
 *  difference: bias correction counts the optimizer's steps, where torch counts each parameter's
 *  own. So a parameter whose first gradient comes late begins with smaller steps. */
export class Adam extends RuleOptimizer<Moments> {
  constructor(parameters: Named, options: AdamOptions = {}, decoupled = false) {
    const name = decoupled ? 'AdamW' : 'Adam'
    const {
      betas = [0.9, 0.999],
      eps = 1e-8,
      weightDecay = 0,
      clip,
      treat,
    } = optimizerOptions(name, options, adamRules)
    const usual = () => ({ weightDecay, adapted: false })
    super(parameters, {
      settingsOf: settingsBy(name, usual, treat, treatmentRules),
      weightDecay,
      clip,
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
    super(parameters, { weightDecay: 0.01, ...optimizerOptions('AdamW', options, adamRules) }, true)
  }
}

/** Layer-wise adaptive rate scaling (You, Gitman & Ginsburg 2017,
 *  https://arxiv.org/abs/1708.03888), the SimCLR paper's optimizer for large batches, in the `form`
 *  of its code or of others'. `state.momentum` is the velocity. */
export class Lars extends RuleOptimizer<{ readonly momentum: Variable }> {
  /** Moves the parameters as `Sgd` does. Throws like `Sgd`. */
  constructor(parameters: Named, options: LarsOptions = {}) {
    const {
      momentum = 0.9,
      nesterov = false,
      weightDecay = 0,
      eta = 0.001,
      form = 'simclr',
      exclude = biasOrNorm,
      clip,
      treat,
    } = optimizerOptions('Lars', options, larsRules)
    const params = { momentum, nesterov, eta, form }
    const usual = (name: string, parameter: Variable) =>
      exclude(name, parameter) ? { weightDecay: 0, adapted: false } : { weightDecay, adapted: true }
    super(parameters, {
      settingsOf: settingsBy('Lars', usual, treat, larsTreatmentRules),
      weightDecay,
      clip,
      makeState: (zeros) => ({ momentum: zeros() }),
      update: ({ run, layout, flat, state, lr }) =>
        lars(run, layout, { ...flat, velocity: state.momentum }, { lr, ...params }),
    })
  }
}
