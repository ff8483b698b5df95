// Storages on another storage's block: the outputs of a captured step lie in the memory of its
// plan. A block returns to the pool when its owner and all its borrowers are freed.

import type { Block, Storage } from './storage.ts'

/** Counts the borrowers of each block. */
export class Loans {
  readonly #borrowers = new WeakSet<Storage>()
  readonly #counts = new Map<Block, number>()
  readonly #released = new Set<Block>() // by their owners, while borrowed

  /** Notes that a storage lies on another one's block. */
  begin(storage: Storage, block: Block) {
    this.#borrowers.add(storage)
    this.#counts.set(block, (this.#counts.get(block) ?? 0) + 1)
  }

  /** Notes that a storage is freed, and tells whether its block returns to the pool now. */
  end(storage: Storage, block: Block): boolean {
    return this.#borrowers.has(storage) ? this.#endLoan(block) : this.release(block)
  }

  /** Notes that a block's owner is freed, and tells whether the block returns to the pool now; else
   *  it returns when the last loan ends. */
  release(block: Block): boolean {
    if (!this.#counts.has(block)) return true
    this.#released.add(block)
    return false
  }

  #endLoan(block: Block): boolean {
    const others = (this.#counts.get(block) ?? 0) - 1
    if (others > 0) this.#counts.set(block, others)
    else this.#counts.delete(block)
    return others <= 0 && this.#released.delete(block)
  }
}
