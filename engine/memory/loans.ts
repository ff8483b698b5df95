// Storages on another storage's block: the outputs of a captured step lie in the memory of its
// plan. A block returns to the pool when its owner and all its borrowers are freed.

import type { Block, Storage } from './storage.ts'

/** Counts the loans of blocks. */
export class Loans {
  readonly #lent = new WeakSet<Storage>()
  readonly #loans = new Map<Block, number>() // how many a block has
  readonly #owed = new Set<Block>() // blocks that their owners have released

  /** Notes that a storage lies on another one's block. */
  begin(storage: Storage, block: Block) {
    this.#lent.add(storage)
    this.#loans.set(block, (this.#loans.get(block) ?? 0) + 1)
  }

  /** Whether the block returns to the pool when this storage is freed. */
  isOver(storage: Storage, block: Block): boolean {
    return this.#lent.has(storage) ? this.#end(block) : this.isFree(block)
  }

  /** Whether a block that its owner frees returns to the pool now; else it will when the last loan
   *  ends. */
  isFree(block: Block): boolean {
    if (!this.#loans.has(block)) return true
    this.#owed.add(block)
    return false
  }

  #end(block: Block): boolean {
    const others = (this.#loans.get(block) ?? 0) - 1
    if (others > 0) this.#loans.set(block, others)
    else this.#loans.delete(block)
    return others <= 0 && this.#owed.delete(block)
  }
}
