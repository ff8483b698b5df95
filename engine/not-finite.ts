// Saved tensors with values that are not finite.

import type { SavedTensor } from './safetensors.ts'

/** Returns the names of tensors with a value that is not finite. */
export const notFinite = (tensors: ReadonlyMap<string, SavedTensor>): string[] =>
  [...tensors]
    .filter(([, { data }]) => data instanceof Float32Array && !isFinite(data))
    .map(([name]) => name)

function isFinite(data: Float32Array): boolean {
  for (const value of data) if (value - value !== 0) return false // NaN - NaN and Inf - Inf are NaN
  return true
}

/** Shortens a list of names: `conv1.weight and 3 more`. */
export const someOf = ([first = '', ...others]: readonly string[]) =>
  others.length === 0 ? first : `${first} and ${others.length} more`
