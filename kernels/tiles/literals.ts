// Sizes of tiles as WGSL. They are constants of a kernel's text, so that compilers can unroll loops
// and prove indices.

import { wgsl } from '../op.ts'

/** `literals[4]` is 4u. */
export const literals = {
  1: wgsl`1u`,
  2: wgsl`2u`,
  4: wgsl`4u`,
  8: wgsl`8u`,
  16: wgsl`16u`,
  32: wgsl`32u`,
} as const

/** A size that a text may have. */
export type Literal = keyof typeof literals
