// Runs in IndexedDB, for pages without a private file system. A file is one value, which a
// transaction replaces.

import { createStore, del, delMany, get, keys, set } from 'idb-keyval'
import { reasonOf } from '../kernels/reason-of.ts'
import type { RunStore, RunFiles } from './place.ts'

type Key = readonly [run: string, name: string]

/** Opens the database. Throws Error if there is none, or it cannot be used. */
export async function indexedDbPlace(): Promise<RunStore> {
  if (!('indexedDB' in globalThis)) throw new Error('it has no IndexedDB')
  const store = createStore('kindred', 'runs')
  const all = () => keys<[string, string]>(store)
  await all().catch((cause: unknown) => {
    const why = reasonOf(cause)
    throw new Error(`its IndexedDB cannot be used (${why})`, { cause })
  })
  const of = async (run: string) => (await all()).filter(([owner]) => owner === run)
  const files = (run: string): RunFiles => {
    const key = (name: string) => [run, name] satisfies Key
    const read = async (name: string) => (await get<Uint8Array>(key(name), store)) ?? null
    return {
      names: async () => (await of(run)).map(([, name]) => name),
      read,
      write: (name, bytes) => set(key(name), bytes, store),
      remove: (name) => del(key(name), store),
      bytes: async () => {
        let sum = 0
        for (const [, name] of await of(run)) sum += (await read(name))?.length ?? 0
        return sum
      },
    }
  }
  return {
    kind: 'indexed-db',
    runs: async () => [...new Set((await all()).map(([run]) => run))],
    files,
    remove: async (run) => delMany(await of(run), store),
  }
}
