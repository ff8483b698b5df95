// Optimizers over flat buffers. Constructing one moves the parameters into one buffer, so that a
// step is a few dispatches, however many parameters there are.

import { type Run, type Scalar, type Variable, sizeOf } from '../../kernels/op.ts'
import { inspect } from '../../kernels/options.ts'
import { clipToNorm } from '../../kernels/optim/clip.ts'
import { adam, sgd } from '../../kernels/optim/update.ts'
import { lars } from '../../kernels/optim/update-lars.ts'
import type { Named } from '../named.ts'
import { type FlatLayout, FlatParameters } from './flat-parameters.ts'
import type { Gradients } from './gradients.ts'
import type { LossScaler } from './loss-scaler.ts'
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
import { owns } from '../owned.ts'
import type { Schedule } from './schedule.ts'
import { type Settings, larsTreatmentRules, settingsBy, treatmentRules } from './treatments.ts'

export type { Named }

/** The interface of every optimizer. */
export interface Optimizer {
  /** Updates the parameters in place. `gradients` are those of `Gpu.backward`; parameters without
   *  one stay unchanged, as in PyTorch. `lr` is the learning rate of this step; in a captured step
   *  it must be a function. `scaler` is the LossScaler that the gradients were scaled by, if any.
   *  Throws TypeError, and Error when no parameter has a gradient. */
  step(gradients: Gradients, lr: Scalar, scaler?: LossScaler): void
  /** Steps taken; set it when resuming. */
  t: number
  /** The state to save and restore: one flat variable per role, laid out as `offsets` says. */
  readonly state: Named
  /** Where each parameter begins in a flat variable, in elements. */
  readonly offsets: readonly number[]
  /** Its parameters by name. Methods compute the gradients of these alone, or all gradients if it
   *  is left out. */
  readonly parameters?: Named
  /** Those of its parameters that are not frozen, by name: all if it is left out. Methods compute
   *  the gradients of these alone. */
  readonly trained?: Named
  /** The norm [] of all gradients of the last step, before clipping and without the loss scale;
   *  undefined unless the optimizer has `clip`. */
  readonly norm?: Variable | undefined
}

/** An optimizer whose parameters lie in one flat variable. */
export interface FlatOptimizer extends Optimizer {
  readonly parameters: Named
  /** The values of all parameters: one flat variable, laid out as `offsets` says. */
  readonly weights: Variable
}

/** The definition of one optimizer. */
interface Rule<State extends Named> {
  readonly settingsOf: (name: string, parameter: Variable) => Settings
  readonly weightDecay: number | Schedule
  /** The most that the gradients' norm may be; undefined if it is not computed. */
  readonly clip: number | undefined
  /** Makes its state: one flat variable of zeros per role. */
  readonly makeState: (zeros: () => Variable) => State
  readonly update: (step: Step<State>) => void
}

/** The arguments of an update. */
interface Step<State extends Named> {
  readonly run: Run
  readonly layout: FlatLayout
  readonly flat: { readonly weight: Variable; readonly grad: Variable }
  readonly state: State
  readonly lr: Scalar
  readonly t: () => number
}

/** The frame of every optimizer: a rule over flat parameters. Prints as 'Adam (2 parameters, 12
 *  numbers, t = 5)'. */
abstract class RuleOptimizer<State extends Named> implements FlatOptimizer {
  t = 0
  readonly parameters: Named
  readonly trained: Named
  readonly weights: Variable
  readonly state: State
  readonly offsets: readonly number[]
  readonly norm: Variable | undefined
  readonly #clip: number
  readonly #weightDecay: Scalar
  readonly #flat: FlatParameters
  readonly #update: Rule<State>['update']

  constructor(parameters: Named, rule: Rule<State>) {
    const { settingsOf, weightDecay, clip, makeState, update } = rule
    this.#flat = new FlatParameters(parameters, settingsOf)
    this.#update = update
    this.state = makeState(() => this.#flat.zeros())
    this.parameters = parameters
    this.trained = this.#flat.trained
    this.weights = this.#flat.weight
    this.offsets = this.#flat.offsets
    this.#clip = clip ?? Infinity
    this.#weightDecay =
      typeof weightDecay === 'number' ? weightDecay : () => weightDecay(this.t - 1) // t is counted before
    this.norm = clip === undefined ? undefined : this.#flat.gpu.variable([0], [])
    owns(this, [...this.#flat.made, ...(this.norm ? [this.norm] : [])])
  }

  step(gradients: Gradients, lr: Scalar, scaler?: LossScaler) {
    const { gpu, weight, grad } = this.#flat
    const clipped = this.#clipped(this.#flat.collect(gradients, lr, scaler))
    const layout = { ...clipped, weightDecay: this.#weightDecay }
    this.#flat.countStep(this, lr)
    const flat = { weight, grad }
    this.#update({ run: gpu.run, layout, flat, state: this.state, lr, t: () => this.t })
  }

  /** Computes the norm, if it is wanted. Returns the layout that clips by it. */
  #clipped(judged: FlatLayout): FlatLayout {
    const { norm } = this
    if (!norm) return judged
    const { gpu, layout, grad } = this.#flat
    const settings = clipToNorm(gpu.run, { layout, judged, grad }, { norm, most: this.#clip })
    return Number.isFinite(this.#clip) ? { ...judged, settings, clipping: true } : judged
  }

  toString() {
    const all = Object.values(this.parameters)
    const numbers = all.reduce((sum, { shape }) => sum + sizeOf(shape), 0)
    return `${this.constructor.name} (${all.length} parameters, ${numbers} numbers, t = ${this.t})`
  }

  [inspect]() {
    return this.toString()
  }
}

/** Stochastic gradient descent as torch.optim.SGD defines it. */
export class Sgd extends RuleOptimizer<{ readonly momentum: Variable }> {
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
  constructor(parameters: Named, options: AdamOptions = {}) {
    super(parameters, { weightDecay: 0.01, ...optimizerOptions('AdamW', options, adamRules) }, true)
  }
}

/** Layer-wise adaptive rate scaling (You, Gitman & Ginsburg 2017), the SimCLR paper's optimizer for
 *  large batches. */
export class Lars extends RuleOptimizer<{ readonly momentum: Variable }> {
  constructor(parameters: Named, options: LarsOptions = {}) {
    const {
      momentum = 0.9,
      nesterov = false,
      weightDecay = 0,
      eta = 0.001,
      classic = true,
      exclude = biasOrNorm,
      clip,
      treat,
    } = optimizerOptions('Lars', options, larsRules)
    const params = { momentum, nesterov, eta, classic }
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
