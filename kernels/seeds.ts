// The rules of what random draws depend on. Threefry takes words of 32 bits: larger numbers would
// give the draws of others.

import { needed, rule, whole } from './options.ts'

/** A seed, or another number that Threefry takes. */
export const seedRule = rule(
  'a whole number from 0 to below 2^32',
  (v) => whole.fits(v) && Number(v) < 2 ** 32,
)

/** The number of a step, or a function of none that returns it. */
export const stepRule = rule(`${seedRule.words}, or a function of none, () => number`, (v) =>
  typeof v === 'function' ? v.length === 0 : seedRule.fits(v),
)

/** The rules of draws that depend on a seed and a step. */
export const seedAndStep = { seed: needed(seedRule), step: needed(stepRule) }
