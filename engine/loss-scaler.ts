// Dynamic loss scaling for training in f16: see kernels/loss-scale.ts.

import type { Variable } from '../kernels/op.ts'
import { type Layout } from '../kernels/update.ts'
import { unscale } from '../kernels/loss-scale.ts'
import type { Gpu } from './gpu.ts'
import type { Named } from './optimizer.ts'

export interface LossScalerOptions {
  /** The first scale, 65,536 by default. Powers of two alone change no digit of a gradient. */
  readonly scale?: number
  /** Good steps in a row after which the scale doubles, 2,000 by default. */
  readonly interval?: number
}

const LIMITS = { least: 1, most: 2 ** 24 }

/** Keeps gradients within the range of f16: `gpu.backward(loss, scaler.scale)` gives them `scale` times too large, and
 *  `optimizer.step(gradients, lr, scaler)` takes that back. A step with a gradient that is not finite changes no parameter
 *  and no moment, and halves the scale; 2,000 good steps in a row double it (torch.amp.GradScaler's defaults). All of it is
 *  decided on the GPU. `optimizer.t` counts skipped steps too, which Adam's bias correction sees: torch does not. */
export class LossScaler {
  /** The loss's cotangent []. */
  readonly scale: Variable
  /** What to save and restore. */
  readonly state: Named
  readonly #gpu: Gpu
  readonly #good: Variable
  readonly #interval: number

  /** Throws Error for a scale outside of 1 to 2^24, or an interval that is no whole number. */
  constructor(gpu: Gpu, { scale = 65536, interval = 2000 }: LossScalerOptions = {}) {
    if (!(scale >= LIMITS.least && scale <= LIMITS.most))
      throw new Error(`LossScaler: scale must be from 1 to ${LIMITS.most}, got ${scale}`)
    if (!Number.isInteger(interval) || interval < 1)
      throw new Error(`LossScaler: interval must be a whole number of at least 1, got ${interval}`)
    this.#gpu = gpu
    this.scale = gpu.variable([scale], [])
    this.#good = gpu.variable([0], [])
    this.#interval = interval
    this.state = { scale: this.scale, good: this.#good }
  }

  /** For optimizers: divides flat gradients by the scale, in place, and returns the layout to update by, in which no parameter
   *  has a gradient if the step is to be skipped. */
  unscale<L extends Layout>(layout: L, grad: Variable): L {
    const state = { scale: this.scale, good: this.#good }
    const settings = unscale(this.#gpu.run, layout, grad, state, { interval: this.#interval, ...LIMITS })
    return { ...layout, settings }
  }
}
