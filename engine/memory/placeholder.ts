// One small buffer in place of all the memory of a step that is recorded without executing its
// commands.

import type { Block, Storage } from './storage.ts'

/** The block that all storages of a body share while it runs. */
export class Placeholder {
  readonly #make: () => Block
  #block: Block | null = null // made once
  #isUsed = false
  #storages: Storage[] = [] // made while it is used

  /** `make` makes the block when it is first needed. */
  constructor(make: () => Block) {
    this.#make = make
  }

  /** The block while a body runs, else null. */
  get block(): Block | null {
    return this.#isUsed ? this.#block : null
  }

  /** Tells whether this is the placeholder's block, which is in no pool. */
  is(block: Block): boolean {
    return block === this.#block
  }

  /** Runs `body`; its storages share the block until `end` is called. */
  run<T>(body: () => T): T {
    this.#block ??= this.#make()
    this.#isUsed = true
    try {
      return body()
    } finally {
      this.end()
    }
  }

  /** Notes a storage on the block. */
  add(storage: Storage) {
    this.#storages.push(storage)
  }

  /** Tells whether a storage lies on the block while it is used. */
  holds({ block }: Storage): boolean {
    return block !== null && block === this.block
  }

  /** Ends the use of the block. Returns the storages that were not freed; they need memory of their
   *  own. */
  end(): readonly Storage[] {
    const alive = this.#storages.filter((storage) => this.holds(storage))
    this.#isUsed = false
    this.#storages = []
    return alive
  }
}
