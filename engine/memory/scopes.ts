// Nested scopes of memory: a storage is freed when its scope ends, unless the scope returns it;
// then it passes to the enclosing one.

import type { End, Storage } from './storage.ts'

/** Called for storages that leave a scope. */
export interface Fate {
  /** The scope has ended. */
  release(storage: Storage, end: End): void
  /** It lives on outside of all scopes, as long as something refers to it. */
  free(storage: Storage): void
}

/** The scopes of one memory. */
export class Scopes {
  readonly #fate: Fate
  #born: Storage[] | null = null // in the innermost scope; null outside of all

  constructor(fate: Fate) {
    this.#fate = fate
  }

  /** Gives a new storage to the innermost scope. */
  add(storage: Storage) {
    if (this.#born) this.#born.push(storage)
    else this.#fate.free(storage)
  }

  /** Runs `body` outside of all scopes. */
  suspend<T>(body: () => T): T {
    const outer = this.#born
    this.#born = null
    try {
      return body()
    } finally {
      this.#born = outer
    }
  }

  /** Runs `body`, then frees what it allocated, except the storages that `pick` finds in its
   *  result. Those pass to the enclosing scope, or, outside any, live while something refers to
   *  them and are also returned. `end` completes the error of a late use. */
  run<T>(
    body: () => T,
    pick: (result: T) => readonly Storage[],
    end: End,
  ): { result: T; kept: readonly Storage[] } {
    const outer = this.#born
    const born: Storage[] = (this.#born = [])
    let picked = new Set<Storage>()
    try {
      const result = body()
      picked = new Set(pick(result))
      return { result, kept: born.filter((storage) => picked.has(storage)) }
    } finally {
      this.#born = outer
      for (const storage of born) {
        if (picked.has(storage)) this.add(storage)
        else this.#fate.release(storage, end)
      }
    }
  }
}
