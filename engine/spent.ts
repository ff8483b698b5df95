// The gradients of one backward pass, given back to the pool as soon as they were handed on: of a whole network's only a
// few then live at a time.

import type { Tensor } from '../kernels/op.ts'
import type { Memory, Storage } from './memory.ts'
import type { Tensors } from './tensors.ts'

/** Counts what still needs the memory of a gradient; several may share one, as both inputs of an addition do. */
export class Spent {
  readonly #tensors: Tensors
  readonly #memory: Memory
  readonly #uses = new Map<Storage, number>()

  constructor(tensors: Tensors, memory: Memory) {
    this.#tensors = tensors
    this.#memory = memory
  }

  /** Never gives these back. */
  pin(tensors: readonly Tensor[]) {
    for (const tensor of tensors) this.#uses.set(this.#tensors.storage(tensor), Infinity)
  }

  hold(tensor: Tensor) {
    const storage = this.#tensors.storage(tensor)
    this.#uses.set(storage, (this.#uses.get(storage) ?? 0) + 1)
  }

  /** Undoes a `hold`, and gives the memory back with the last one. */
  drop(tensor: Tensor) {
    const storage = this.#tensors.storage(tensor)
    const left = (this.#uses.get(storage) ?? 0) - 1
    this.#uses.set(storage, left)
    if (left === 0) this.#memory.release(storage)
  }
}
