// The inputs of a loss over pairs of views.

import { resembling, uniform } from '../lib/random.js'

/** Two views z1, z2 [N, D] of N images, not normalised, and labels [N] of max(2, N / 4) classes. */
export function views({ N, D, seed }) {
  const z1 = uniform(N * D, seed)
  const classes = Math.max(2, N >> 2)
  return {
    z1,
    z2: resembling(z1, seed + 1),
    labels: Int32Array.from({ length: N }, (_, i) => i % classes),
  }
}
