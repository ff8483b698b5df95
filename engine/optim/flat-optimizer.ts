// The frame of optimizers over flat buffers. Constructing one moves the parameters into one
// buffer, so that a step is a few dispatches, however many parameters there are.

import { type Run, type Scalar, type Variable, sizeOf } from '../../kernels/op.ts'
import { checkScalar, finiteNumber, inspect, notNegative } from '../../kernels/options.ts'
import { clipToNorm } from '../../kernels/optim/clip.ts'
import type { Named } from '../named.ts'
import { nameVariables } from '../names.ts'
import { type FlatLayout, FlatParameters } from './flat-parameters.ts'
import type { Gradients } from './gradients.ts'
import type { LossScaler } from './loss-scaler.ts'
import { owns } from '../owned.ts'
import type { Schedule } from './schedule.ts'
import type { Settings } from './treatments.ts'

/** The interface of every optimizer: what methods call, and checkpoints save. One of your own may
 *  implement it. */
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

/** An optimizer whose parameters lie one after another in one flat variable, as those of `Sgd`,
 *  `Adam`, `AdamW` and `Lars` do. `MovingAverage` needs one. */
export interface FlatOptimizer extends Optimizer {
  /** The parameters by name, in the order in which they lie. */
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
export abstract class RuleOptimizer<State extends Named> implements FlatOptimizer {
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
    const { name } = this.constructor
    this.#flat = new FlatParameters(parameters, settingsOf)
    this.#update = update
    this.state = makeState(() => this.#flat.zeros())
    nameVariables(this.state)
    this.parameters = parameters
    this.trained = this.#flat.trained
    this.weights = this.#flat.weight
    this.offsets = this.#flat.offsets
    this.#clip = clip ?? Infinity
    this.#weightDecay =
      typeof weightDecay === 'number'
        ? weightDecay // and below, t is counted before
        : checkScalar(name, 'weightDecay', () => weightDecay(this.t - 1), notNegative)
    this.norm = clip === undefined ? undefined : this.#flat.gpu.variable([0], [])
    owns(this, [...this.#flat.made, ...(this.norm ? [this.norm] : [])])
  }

  step(gradients: Gradients, rate: Scalar, scaler?: LossScaler) {
    const lr = checkScalar('Optimizer.step', 'lr', rate, finiteNumber)
    const { gpu, weight, grad } = this.#flat
    const clipped = this.#clipped(this.#flat.collect(gradients, scaler))
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
