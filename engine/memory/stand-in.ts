// A placeholder buffer for the memory of a step that is recorded without executing its commands.

import type { Block, Storage } from './storage.ts'

/** One small block on which a body's storages lie. */
export class StandIn {
  readonly #make: () => Block
  #spare: Block | null = null // made once
  #block: Block | null = null // the same, while it stands in
  #storages: Storage[] = [] // for these

  /** `make` makes the block, when it is first needed. */
  constructor(make: () => Block) {
    this.#make = make
  }

  /** The block while a body runs, else null. */
  get block(): Block | null {
    return this.#block
  }

  /** Whether this is the placeholder, which is in no pool. */
  is(block: Block): boolean {
    return block === this.#spare
  }

  /** Runs `body`; its storages lie on the placeholder until `settle` is called. */
  run<T>(body: () => T): T {
    this.#block = this.#spare ??= this.#make()
    try {
      return body()
    } finally {
      this.#block = null
      this.#storages = []
    }
  }

  /** Notes a storage on the placeholder. */
  add(storage: Storage) {
    this.#storages.push(storage)
  }

  /** Whether this storage lies on the placeholder. */
  covers({ block }: Storage): boolean {
    return this.#block !== null && block === this.#block
  }

  /** Ends the use of the placeholder, and returns the storages that were not freed: they need
   *  memory of their own. */
  settle(): readonly Storage[] {
    const living = this.#storages.filter((storage) => this.covers(storage))
    this.#block = null
    this.#storages = []
    return living
  }
}
