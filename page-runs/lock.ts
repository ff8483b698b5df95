// The lock of a run: one tab or worker at a time trains it. The browser releases it when that ends.

import type { PlaceKind } from './place.ts'
import { web } from './web.ts'

const keyOf = (place: PlaceKind, run: string) => `kindred run ${place} ${run}`
const here = new Set<string>() // where there are no Web Locks: a program outside of browsers

/** Locks a run, and resolves to the function that releases it. Throws Error if it is in use. */
export async function lockRun(place: PlaceKind, run: string): Promise<() => void> {
  const release = await taken(keyOf(place, run))
  if (release) return release
  throw new Error(
    `the run '${run}' is in use, by another tab, a worker, or a storage of this page that was not ` +
      'closed; close it there, or wait for its training to end',
  )
}

/** Resolves to the function that releases the lock, null if another one holds it. */
function taken(key: string): Promise<(() => void) | null> {
  const { locks } = web()
  if (!locks) return Promise.resolve(takenHere(key))
  return new Promise((resolve, reject) => {
    const hold = (lock: object | null) =>
      new Promise<void>((release) => {
        if (!lock) release()
        resolve(lock ? release : null)
      })
    locks.request(key, { ifAvailable: true }, hold).catch(reject)
  })
}

function takenHere(key: string): (() => void) | null {
  if (here.has(key)) return null
  here.add(key)
  return () => void here.delete(key)
}

/** Resolves to a function that tells whether a run is in use. */
export async function locksNow(): Promise<(place: PlaceKind, run: string) => boolean> {
  const held = (await web().locks?.query())?.held?.map(({ name }) => name) ?? [...here]
  return (place, run) => held.includes(keyOf(place, run))
}
