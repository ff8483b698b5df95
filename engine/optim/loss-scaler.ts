// Dynamic loss scaling for training in f16. Its kernels are in kernels/optim/loss-scale.ts.

import type { Variable } from '../../kernels/op.ts'
import {
  anything,
  checkOptions,
  checkValue,
  describe,
  inspect,
  onGpu,
} from '../../kernels/options.ts'
import type { Layout } from '../../kernels/optim/update.ts'
import { unscale } from '../../kernels/optim/loss-scale.ts'
import type { Gpu } from '../gpu.ts'
import type { Named } from '../named.ts'
import { owns } from '../owned.ts'
import type { Gradients } from './gradients.ts'
import { registerScale } from './scale-moves.ts'

/** Options of `LossScaler`. */
export interface LossScalerOptions {
  /** The first scale, from 1 to 2^24; 65,536 by default. A power of two changes no digit of a
   *  gradient. */
  readonly scale?: number
  /** The number of good steps in a row after which the scale doubles, from 1; 2,000 by
   *  default. */
  readonly interval?: number
}

const LIMITS = { least: 1, most: 2 ** 24 }
const rules = { scale: anything, interval: anything }

/** Keeps gradients within the range of f16. `gpu.backward(loss, scaler.scale)` multiplies them by
 *  the scale, and `optimizer.step(gradients, lr, scaler)` divides by it. A step with a gradient
 *  that is not finite changes no parameter and no moment, and halves the scale; 2,000 good steps in
 *  a row double it (the defaults of torch.amp.GradScaler). The GPU decides; nothing is read back.
 *  Unlike in torch, `optimizer.t`, by which Adam corrects its bias, counts skipped steps too.
 *
 *  Several optimizers may share a scaler if each is given the gradients of one `gpu.backward`. All
 *  divide by the scale of that pass. Each skips its own step when one of its gradients is not
 *  finite. The scale moves once, and is halved if any of them skipped. */
export class LossScaler {
  /** The loss's cotangent []. */
  readonly scale: Variable
  /** The state to save and restore. */
  readonly state: Named
  readonly #gpu: Gpu
  readonly #good: Variable
  readonly #round: Variable
  readonly #interval: number
  readonly #users = new Set<object>()
  #moves = 0

  /** Throws Error for a scale outside of 1 to 2^24, or an interval that is no whole number. */
  constructor(gpu: Gpu, options: LossScalerOptions = {}) {
    checkValue('LossScaler', 'gpu', gpu, onGpu)
    const { scale = 65536, interval = 2000 } = checkOptions('LossScaler', options, rules)
    if (!(scale >= LIMITS.least && scale <= LIMITS.most))
      throw new Error(`LossScaler: scale must be from 1 to ${LIMITS.most}, got ${describe(scale)}`)
    if (!Number.isInteger(interval) || interval < 1)
      throw new Error(
        `LossScaler: interval must be a whole number of at least 1, got ${describe(interval)}`,
      )
    this.#gpu = gpu
    this.scale = gpu.variable([scale], [])
    this.#good = gpu.variable([0], [])
    this.#interval = interval
    this.#round = gpu.variable([scale, 0, 0], [3])
    this.state = { scale: this.scale, good: this.#good }
    owns(this, [this.scale, this.#good, this.#round])
    registerScale(this.scale, this)
  }

  /** How often the scale was updated: once for all optimizers that share gradients. */
  get moves(): number {
    return this.#moves
  }

  /** Divides an optimizer's flat gradients by their scale, in place. Returns the layout to update
   *  by, in which no parameter has a gradient if the step must be skipped. `by` identifies the
   *  optimizer. Throws Error for gradients of an earlier scale, and, if several optimizers use the
   *  scaler, for gradients of an unknown scale. */
  unscale<L extends Layout>(layout: L, grad: Variable, gradients: Gradients, by: object): L {
    const made = gradients.scaleMoves.get(this)
    this.#users.add(by)
    if (made === undefined && this.#users.size > 1)
      throw new Error(
        'LossScaler: several optimizers share it, so each must be given what gpu.backward(loss, scaler.scale) returned; otherwise make a LossScaler for each',
      )
    const joins = made !== undefined && made === this.#moves - 1
    if (made !== undefined && made < this.#moves - 1)
      throw new Error(
        'LossScaler: these gradients were made with a scale that has moved since; call gpu.backward(loss, scaler.scale) again',
      )
    if (!joins) this.#moves++
    const state = { scale: this.scale, good: this.#good, round: this.#round }
    const limits = { interval: this.#interval, ...LIMITS, joins: Number(joins) }
    return { ...layout, settings: unscale(this.#gpu.run, layout, grad, state, limits) }
  }

  toString() {
    return `LossScaler (interval ${this.#interval})`
  }

  [inspect]() {
    return this.toString()
  }
}
