// The gradients of a backward pass within a step. What was used more than once, as every weight is by two views, has a
// gradient in two parts, which are added when someone asks for the sum. Optimizers ask for the parts and add them on the way
// into their own buffer: in fewer dispatches, and without the sum being written and read again.

import type { Tensor } from '../../kernels/op.ts'

/** Gradients by tensor. Sums that nobody has asked for yet are made within the step, like any other op. */
export class Gradients extends Map<Tensor, Tensor> {
  readonly #parts = new Map<Tensor, readonly [Tensor, Tensor]>()
  readonly #add: (a: Tensor, b: Tensor) => Tensor

  constructor(entries: readonly (readonly [Tensor, Tensor])[], add: (a: Tensor, b: Tensor) => Tensor) {
    super(entries)
    this.#add = add
  }

  /** Adds to a gradient that is there already, later. */
  addLater(of: Tensor, more: Tensor) {
    const sum = this.get(of)
    if (sum?.shape.join() === more.shape.join()) this.#parts.set(of, [sum, more])
    else this.set(of, sum ? this.#add(sum, more) : more) // the addition says what is wrong with their shapes
  }

  /** One or two tensors, the sum of which is the gradient; none where there is no gradient. */
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

/** The tensors, one or two, that add up to a tensor's gradient; none where it has none. */
export function partsOf(gradients: ReadonlyMap<Tensor, Tensor>, of: Tensor): readonly Tensor[] {
  if (gradients instanceof Gradients) return gradients.parts(of)
  const gradient = gradients.get(of)
  return gradient ? [gradient] : []
}
