// Frees the gradients of a backward pass as soon as they are used, so that only a few are alive at
// a time.

import type { Tensor } from '../kernels/op.ts'
import { neededBy } from '../kernels/pending.ts'
import type { Memory, Storage } from './memory.ts'
import type { Tensors } from './tensors.ts'

/** Counts references to each gradient's memory. Several gradients may share one memory: both inputs
 *  of an addition receive the same. */
export class GradientReleaser {
  readonly #tensors: Tensors
  readonly #memory: Memory
  readonly #references = new Map<Storage, number>()

  constructor(tensors: Tensors, memory: Memory) {
    this.#tensors = tensors
    this.#memory = memory
  }

  /** Never frees these. */
  pin(tensors: readonly Tensor[]) {
    for (const tensor of tensors) this.#references.set(this.#tensors.storage(tensor), Infinity)
  }

  /** Adds a reference: for a pending gradient, to what it is computed from. */
  retain(gradient: Tensor) {
    for (const storage of this.#storages(gradient))
      this.#references.set(storage, (this.#references.get(storage) ?? 0) + 1)
  }

  /** Removes a reference, and frees the memory with the last one. */
  release(gradient: Tensor) {
    for (const storage of this.#storages(gradient)) {
      const left = (this.#references.get(storage) ?? 0) - 1
      this.#references.set(storage, left)
      if (left === 0) this.#memory.release(storage)
    }
  }

  #storages(gradient: Tensor): readonly Storage[] {
    return this.#tensors.storages(neededBy([gradient]))
  }
}
