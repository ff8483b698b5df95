// The inputs of MoCo's loss.

import { resembling, uniform, unitRows } from '../lib/random.js'

/** Queries and their keys [N, C], not normalised, and a queue [K, C] of unit rows. */
export function moco({ N, C, K, seed }) {
  const q = uniform(N * C, seed)
  return { q, k: resembling(q, seed + 1), queue: unitRows(uniform(K * C, seed + 2), C) }
}
