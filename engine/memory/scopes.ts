// Nested scopes of memory: a storage is freed when its scope ends, unless the scope returns it;
// then it passes to the enclosing scope.

import type { End, Storage } from './storage.ts'

/** Called for storages that leave a scope. */
export interface ScopeExits {
  /** Frees a storage at the end of its scope. */
  release(storage: Storage, end: End): void
  /** Lets a storage outside of all scopes live while something refers to it. */
  escape(storage: Storage): void
}

/** The scopes of one memory. */
export class Scopes {
  readonly #exits: ScopeExits
  #allocated: Storage[] | null = null // in the innermost scope; null outside of all

  constructor(exits: ScopeExits) {
    this.#exits = exits
  }

  /** Gives a new storage to the innermost scope. */
  add(storage: Storage) {
    if (this.#allocated) this.#allocated.push(storage)
    else this.#exits.escape(storage)
  }

  /** Runs `body` outside of all scopes. */
  suspend<T>(body: () => T): T {
    const outer = this.#allocated
    this.#allocated = null
    try {
      return body()
    } finally {
      this.#allocated = outer
    }
  }

  /** Implements `Memory.scope`. */
  run<T>(
    body: () => T,
    pick: (result: T) => readonly Storage[],
    end: End,
  ): { result: T; kept: readonly Storage[] } {
    const outer = this.#allocated
    const allocated: Storage[] = (this.#allocated = [])
    let picked = new Set<Storage>()
    try {
      const result = body()
      picked = new Set(pick(result))
      return { result, kept: allocated.filter((storage) => picked.has(storage)) }
    } finally {
      this.#allocated = outer
      for (const storage of allocated) {
        if (picked.has(storage)) this.add(storage)
        else this.#exits.release(storage, end)
      }
    }
  }
}
