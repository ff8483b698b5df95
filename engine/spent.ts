// Frees the gradients of a backward pass as soon as they are used, so that only a few of a whole
// network's live at a time.

import type { Tensor } from '../kernels/op.ts'
import type { Memory, Storage } from './memory.ts'
import type { Tensors } from './tensors.ts'

/** Counts the uses of each gradient's memory; several gradients may share one, as both inputs of an
 *  addition do. */
export class Spent {
  readonly #tensors: Tensors
  readonly #memory: Memory
  readonly #uses = new Map<Storage, number>()

  constructor(tensors: Tensors, memory: Memory) {
    this.#tensors = tensors
    this.#memory = memory
  }

  /** Never frees these. */
  pin(tensors: readonly Tensor[]) {
    for (const tensor of tensors) this.#uses.set(this.#tensors.storage(tensor), Infinity)
  }

  /** Counts one use more. */
  hold(tensor: Tensor) {
    const storage = this.#tensors.storage(tensor)
    this.#uses.set(storage, (this.#uses.get(storage) ?? 0) + 1)
  }

  /** Undoes a `hold`, and frees the memory with the last one. */
  drop(tensor: Tensor) {
    const storage = this.#tensors.storage(tensor)
    const left = (this.#uses.get(storage) ?? 0) - 1
    this.#uses.set(storage, left)
    if (left === 0) this.#memory.release(storage)
  }
}
