// The inputs of AMDIM's loss.

import { uniform } from '../lib/random.js'

/** Vectors [N, R] and maps [N, L, R], with scores of a few units. */
export function features({ N, L, R, seed }) {
  const scaled = (values) => values.map((v) => Math.fround(2 * v))
  return { sources: scaled(uniform(N * R, seed)), maps: scaled(uniform(N * L * R, seed + 1)) }
}
