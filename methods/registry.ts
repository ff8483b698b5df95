// The methods of `kindred` and `train`. A new method is one line here.

import type { Method } from './entry.ts'
import { amdimEntry } from './presets/amdim.ts'
import { endToEndEntry } from './presets/end-to-end.ts'
import { memoryBankEntry } from './presets/memory-bank.ts'
import { mocoEntry } from './presets/moco.ts'
import { simclrEntry } from './presets/simclr.ts'

/** The methods by name, in the order of lists. */
export const methods = new Map<string, Method>(
  [simclrEntry, mocoEntry, memoryBankEntry, endToEndEntry, amdimEntry].map((method) => [
    method.name,
    method,
  ]),
)

/** Returns the method of that name. Throws RangeError with all names. */
export function methodOf(name: string): Method {
  const method = methods.get(name)
  if (method) return method
  throw new RangeError(`method: must be one of ${[...methods.keys()].join(', ')}, got ${name}`)
}
