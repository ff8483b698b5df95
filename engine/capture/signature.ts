// The signature of a call of a captured step: what decides which commands its body gives, as far as
// that can be seen from outside. Calls of one signature share a plan.

import { type Value, describeInput } from './inputs.ts'

/** What each input and each setting is, in words. */
export type Signature = ReadonlyMap<string, string>

/** Returns the signature of a call with these inputs and settings. */
export function signatureOf(
  gpu: Parameters<typeof describeInput>[0],
  values: readonly Value[],
  settings: object,
): Signature {
  const inputs = values.map((one, i) => [`input ${i}`, describeInput(gpu, one)] as const)
  const plain = Object.entries(settings).filter(([, value]) => typeof value !== 'function')
  return new Map([...inputs, ...plain.map(([name, value]) => [name, String(value)] as const)])
}

/** Returns a text that is equal for equal signatures alone. */
export const signatureKey = (signature: Signature): string => JSON.stringify([...signature])

/** Says what differs in the second signature: 'input 0 was f32 [2], now f32 [3]'. */
export function signatureDifference(then: Signature, now: Signature): string {
  const names = [...new Set([...then.keys(), ...now.keys()])]
  return names
    .filter((name) => then.get(name) !== now.get(name))
    .map((name) => `${name} was ${then.get(name) ?? 'absent'}, now ${now.get(name) ?? 'absent'}`)
    .join('; ')
}
