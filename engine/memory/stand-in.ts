// One small block in place of the memory of a step that is only written down, whose commands are not done.

import type { Block, Storage } from './storage.ts'

/** Stands in for memory while a body runs. */
export class StandIn {
  readonly #make: () => Block
  #spare: Block | null = null // made once
  #block: Block | null = null // the same, while it stands in
  #storages: Storage[] = [] // for these

  /** `make` makes the block, when it is first needed. */
  constructor(make: () => Block) {
    this.#make = make
  }

  /** The block, while it stands in for all that is allocated. */
  get block(): Block | null {
    return this.#block
  }

  /** Whether a block is the one that stands in, now or at other times: no pool's. */
  is(block: Block): boolean {
    return block === this.#spare
  }

  /** Runs `body`, with the block standing in for all that it allocates until `settle` is called. */
  run<T>(body: () => T): T {
    this.#block = this.#spare ??= this.#make()
    try {
      return body()
    } finally {
      this.#block = null
      this.#storages = []
    }
  }

  /** Takes note of a storage on the block. */
  add(storage: Storage) {
    this.#storages.push(storage)
  }

  /** Whether the block stands in for this storage's memory. */
  covers({ block }: Storage): boolean {
    return this.#block !== null && block === this.#block
  }

  /** Stops standing in, and returns the storages that need memory of their own: those that were not released. */
  settle(): readonly Storage[] {
    const living = this.#storages.filter((storage) => this.covers(storage))
    this.#block = null
    this.#storages = []
    return living
  }
}
