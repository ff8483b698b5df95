// Opens the place where a page keeps runs.

import { reasonOf } from '../kernels/reason-of.ts'
import { indexedDbPlace } from './indexed-db.ts'
import { opfsPlace } from './opfs.ts'
import { type RunStore, type PlaceKind, placeKinds } from './place.ts'

const makers = { opfs: opfsPlace, 'indexed-db': indexedDbPlace }

/** Opens the place of this kind, by default all that there are, the best first. Throws Error in
 *  words if there is none: in a page without https, in a sandboxed frame, in some private windows. */
export async function openPlaces(kind?: PlaceKind): Promise<readonly [RunStore, ...RunStore[]]> {
  const reasons: string[] = []
  const places: RunStore[] = []
  for (const each of kind ? [kind] : placeKinds)
    try {
      places.push(await makers[each]())
    } catch (error) {
      reasons.push(reasonOf(error))
    }
  const [first, ...others] = places
  if (first) return [first, ...others]
  throw new Error(
    `this page can keep no runs: ${reasons.join('; ')}; open it over https or on localhost, and in ` +
      'no private window, or train with MemoryStorage and save what packRun makes of it',
  )
}
