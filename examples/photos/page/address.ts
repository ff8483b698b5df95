// Settings in the page's address, for tests and for the curious: ?width=2&batch=8&steps=20.

import type { BuiltInOptions, Choice } from '../common/api.ts'

const given = new URLSearchParams(location.search)

/** The number of a setting; `usual` if the address has none, or no whole number from `least` on. */
function numberOf(name: string, usual: number, least = 1): number {
  const text = given.get(name)
  const value = Number(text)
  return text !== null && Number.isInteger(value) && value >= least ? value : usual
}

/** The built-in set. */
export const builtInOptions: BuiltInOptions = {
  count: numberOf('pictures', 1000),
  test: numberOf('test', 400),
  side: numberOf('source', 64),
  ...(given.has('kinds') && { kinds: numberOf('kinds', 10) }),
  seed: 0,
}

/** What the address says over the user's choice. */
export function withAddress(choice: Choice): Choice {
  const own = {
    ...(given.has('width') && { width: numberOf('width', 16) }),
    ...(given.has('batch') && { batch: numberOf('batch', 64, 2) }),
    ...(given.has('looks') && { looks: numberOf('looks', 40) }),
  }
  return {
    ...choice,
    ...own,
    side: numberOf('side', choice.side),
    steps: numberOf('steps', choice.steps),
    seed: numberOf('seed', choice.seed, 0),
  }
}
