// Standardises features to mean 0 and standard deviation 1 over a set, so that one strength of
// regularisation suits all of them.

import type { Embeddings } from './embed.ts'

/** (x - mean) / deviation standardises each of D features. Both are [D]. */
export interface Scaling {
  readonly mean: Float64Array
  readonly deviation: Float64Array
}

/** Returns the scaling that changes nothing. */
export const asGiven = (D: number): Scaling => ({
  mean: new Float64Array(D),
  deviation: new Float64Array(D).fill(1),
})

/** Computes the mean and the standard deviation of each feature over M rows. The deviation of a
 *  constant feature is set to 1. */
export function scalingOf({ features, M, D }: Embeddings): Scaling {
  const mean = new Float64Array(D)
  const squares = new Float64Array(D)
  for (let i = 0; i < M * D; i++) mean[i % D] = (mean[i % D] ?? 0) + (features[i] ?? NaN) / M
  for (let i = 0; i < M * D; i++)
    squares[i % D] = (squares[i % D] ?? 0) + ((features[i] ?? NaN) - (mean[i % D] ?? 0)) ** 2 / M
  const deviation = squares.map((square, d) => {
    const root = Math.sqrt(square)
    return root <= 1e-6 * Math.abs(mean[d] ?? 0) || root === 0 ? 1 : root // less is rounding
  })
  return { mean, deviation }
}

/** Returns rows start .. end - 1, standardised. */
export function standardised(
  { features, D }: Embeddings,
  { mean, deviation }: Scaling,
  [start, end]: readonly [start: number, end: number],
): Float32Array {
  return features
    .slice(start * D, end * D)
    .map((v, i) => (v - (mean[i % D] ?? 0)) / (deviation[i % D] ?? 1))
}
