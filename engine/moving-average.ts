// A second set of parameters that follows the first: MoCo's momentum encoder.

import { type Scalar, type Variable, show } from '../kernels/op.ts'
import { ema } from '../kernels/ema.ts'
import { Gpu } from './gpu.ts'
import type { FlatOptimizer, Named } from './optimizer.ts'
import { owns } from './owned.ts'

/** Parameters k that follow those of an optimizer, q:  k <- m k + (1 - m) q  (MoCo, https://arxiv.org/abs/1911.05722, Eq. 2).
 *  One dispatch, however many there are. */
export class MovingAverage {
  readonly #gpu: Gpu
  readonly #optimizer: FlatOptimizer
  readonly #k: Variable
  readonly #variables: readonly Variable[]

  /** `followers` are moved into one flat buffer; they keep their values until the first `update`. Throws Error unless they
   *  have the shapes of the optimizer's parameters, in the same order, but for those that nothing follows, `alone`, which
   *  must be its last. */
  constructor(optimizer: FlatOptimizer, followers: Named, alone: Named = {}) {
    const all = Object.entries(optimizer.parameters)
    const leaders = all.slice(0, all.length - Object.keys(alone).length)
    if (all.slice(leaders.length).some(([name, leader]) => alone[name] !== leader))
      throw new Error("MovingAverage: parameters that nothing follows must be the optimizer's last")
    this.#variables = Object.values(followers)
    if (this.#variables.length !== leaders.length)
      throw new Error(
        `MovingAverage: ${leaders.length} parameters are needed, as many as the optimizer has${leaders.length < all.length ? ' besides' : ''}, got ${this.#variables.length}`,
      )
    for (const [i, [name, { shape }]] of leaders.entries()) {
      const follower = this.#variables[i]
      if (follower && follower.shape.join() !== shape.join())
        throw new Error(
          `MovingAverage: what follows ${name} must be ${show(shape)}, got ${show(follower.shape)}`,
        )
    }
    const [first] = this.#variables
    if (!first || !(first.gpu instanceof Gpu)) throw new Error('MovingAverage: there are no parameters')
    this.#gpu = first.gpu
    this.#optimizer = optimizer
    this.#k = this.#gpu.flatten(this.#variables).flat
    owns(this, [this.#k])
  }

  /** Moves every parameter towards the optimizer's by the share 1 - m, in a captured step a function. */
  update(m: Scalar) {
    if (!this.#variables.every((variable) => this.#gpu.isWithin(variable, this.#k)))
      throw new Error('MovingAverage: its parameters were given to another optimizer or average since')
    ema(this.#gpu.run, this.#k, this.#optimizer.weights, m)
  }
}
