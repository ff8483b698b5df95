// The gradients of a backward pass. Within a step, the gradient of a weight that two views use is
// in two parts. Optimizers add them while they gather, which saves a dispatch and one write and
// read of the sum.

import type { Tensor } from '../../kernels/op.ts'
import {
  checkTensor,
  checkValue,
  having,
  inspect,
  tensor as aTensor,
} from '../../kernels/options.ts'
import { accumulate } from '../../kernels/optim/accumulate.ts'
import type { ScaleMoves } from './scale-moves.ts'

/** A gradient, or the two tensors that add up to it. */
export type GradientParts = readonly [Tensor] | readonly [Tensor, Tensor]

/** The gradients of tensors. `of` and `entries` add up a gradient in two parts, by one dispatch the
 *  first time. The other members dispatch nothing. */
export class Gradients {
  /** How often each loss scaler had moved its scale when these gradients were computed with it. */
  readonly scaleMoves: ScaleMoves
  readonly #parts = new Map<Tensor, GradientParts>()

  /** Takes `[tensor, gradient]` pairs, such as clipped gradients. If a LossScaler is used, `like`
   *  is the Gradients that they were computed from. Throws TypeError. */
  constructor(
    pairs: Iterable<readonly [tensor: Tensor, ...parts: GradientParts]>,
    like?: Pick<Gradients, 'scaleMoves'>,
  ) {
    checkValue('Gradients', 'pairs', pairs, iterable)
    if (like !== undefined) checkValue('Gradients', 'like', like, having('Gradients', 'scaleMoves'))
    for (const pair of pairs) {
      const [tensor, ...parts] = checkValue('Gradients', 'a pair', pair, tensorAndParts)
      this.#parts.set(tensor, parts)
    }
    this.scaleMoves = like?.scaleMoves ?? new Map()
  }

  /** How many tensors have a gradient. */
  get size(): number {
    return this.#parts.size
  }

  /** Tells whether a tensor has a gradient. */
  has(tensor: Tensor): boolean {
    checkTensor('Gradients.has', 'tensor', tensor)
    return this.#parts.has(tensor)
  }

  /** Returns the gradient of a tensor, or undefined if it has none. Throws TypeError for what is no
   *  tensor, such as a parameter's name. */
  of(tensor: Tensor): Tensor | undefined {
    checkTensor('Gradients.of', 'tensor', tensor)
    const [first, second] = this.parts(tensor)
    if (!first || !second) return first
    const sum = accumulate(first.gpu.run, first, second)
    this.#parts.set(tensor, [sum])
    return sum
  }

  /** Returns the one or two tensors that add up to a gradient, or [] if there is none. */
  parts(tensor: Tensor): readonly Tensor[] {
    return this.#parts.get(tensor) ?? []
  }

  /** Returns the parts of all gradients. */
  allParts(): Tensor[] {
    return [...this.#parts.values()].flat()
  }

  /** Returns the tensors that have a gradient. */
  tensors(): Tensor[] {
    return [...this.#parts.keys()]
  }

  /** Returns all `[tensor, gradient]` pairs. */
  entries(): [tensor: Tensor, gradient: Tensor][] {
    return this.tensors().map((tensor) => [tensor, this.of(tensor) as Tensor])
  }

  toString() {
    return `Gradients (of ${this.size} tensors)`
  }

  [inspect]() {
    return this.toString()
  }
}

const iterable = {
  words: 'an array or a map of tensors and their gradients',
  fits: (v: unknown) => typeof v === 'object' && v !== null && Symbol.iterator in v,
}

const tensorAndParts = {
  words: '[tensor, gradient]',
  fits: (v: unknown) =>
    Array.isArray(v) && (v.length === 2 || v.length === 3) && v.every(aTensor.fits),
}
