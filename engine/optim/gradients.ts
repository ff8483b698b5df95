// The gradients of a backward pass within a step. A weight used by two views receives two
// gradients. We add them lazily: optimizers fuse the addition into their gather, which saves a
// dispatch and one write and read of the sum.

import type { Tensor } from '../../kernels/op.ts'

/** Gradients by tensor. `get` and iterating add up gradients that are still in two parts, by one
 *  dispatch each; `has`, `size` and `parts` dispatch nothing. */
export class Gradients extends Map<Tensor, Tensor> {
  readonly #parts = new Map<Tensor, readonly [Tensor, Tensor]>()
  readonly #add: (a: Tensor, b: Tensor) => Tensor

  constructor(
    entries: readonly (readonly [Tensor, Tensor])[],
    add: (a: Tensor, b: Tensor) => Tensor,
  ) {
    super(entries)
    this.#add = add
  }

  /** Adds a second part to a gradient; the sum is made when it is read. */
  addLater(of: Tensor, more: Tensor) {
    const sum = this.get(of)
    if (sum?.shape.join() === more.shape.join()) this.#parts.set(of, [sum, more])
    else this.set(of, sum ? this.#add(sum, more) : more) // the addition says what is wrong with their shapes
  }

  /** Returns the one or two tensors that add up to a gradient; none where there is no gradient. */
  parts(of: Tensor): readonly Tensor[] {
    const sum = super.get(of)
    return this.#parts.get(of) ?? (sum ? [sum] : [])
  }

  override get(of: Tensor): Tensor | undefined {
    const parts = this.#parts.get(of)
    if (parts) {
      this.#parts.delete(of)
      this.set(of, this.#add(...parts))
    }
    return super.get(of)
  }

  override delete(of: Tensor): boolean {
    this.#parts.delete(of)
    return super.delete(of)
  }

  override entries() {
    this.#settle()
    return super.entries()
  }

  override values() {
    this.#settle()
    return super.values()
  }

  override forEach(...given: Parameters<Map<Tensor, Tensor>['forEach']>) {
    this.#settle()
    super.forEach(...given)
  }

  override [Symbol.iterator]() {
    return this.entries()
  }

  #settle() {
    for (const of of this.#parts.keys()) this.get(of)
  }
}

/** Returns the one or two tensors that add up to a gradient; none where there is no gradient. */
export function partsOf(gradients: ReadonlyMap<Tensor, Tensor>, of: Tensor): readonly Tensor[] {
  if (gradients instanceof Gradients) return gradients.parts(of)
  const gradient = gradients.get(of)
  return gradient ? [gradient] : []
}
