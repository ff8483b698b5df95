// Sums over all features, in float64.

import { Matrix } from 'ml-matrix'
import type { Embeddings } from '../embed.ts'

/** The mean [D] of features [M, D]. */
export function meanOf({ features, M, D }: Embeddings): Float64Array {
  const mean = new Float64Array(D)
  for (let i = 0; i < M * D; i++) mean[i % D] = (mean[i % D] ?? 0) + (features[i] ?? NaN) / M
  return mean
}

/** The smaller of Xᵀ X [D, D] and X Xᵀ [M, M] of features X [M, D] less `mean` [D]. Both have the
 *  same eigenvalues but for zeros. */
export function gram({ features, M, D }: Embeddings, mean?: Float64Array): Matrix {
  const [size, along] = [Math.min(M, D), Math.max(M, D)]
  const at = (i: number) => (features[i] ?? NaN) - (mean?.[i % D] ?? 0)
  // the vectors whose products are added: rows of X, or its columns
  const vector = new Float64Array(size)
  const product = Array.from({ length: size }, () => new Float64Array(size))
  for (let k = 0; k < along; k++) {
    for (let i = 0; i < size; i++) vector[i] = D <= M ? at(k * D + i) : at(i * D + k)
    for (let i = 0; i < size; i++) addTo(product[i], vector, i)
  }
  for (let i = 0; i < size; i++)
    for (let j = 0; j < i; j++) set(product[i], j, product[j]?.[i] ?? NaN)
  return new Matrix(product.map((row) => Array.from(row)))
}

/** row[j] += v[i] v[j] for j from i on. */
function addTo(row: Float64Array | undefined, v: Float64Array, i: number) {
  const factor = v[i] ?? NaN
  if (row) for (let j = i; j < v.length; j++) row[j] = (row[j] ?? 0) + factor * (v[j] ?? NaN)
}

function set(row: Float64Array | undefined, j: number, value: number) {
  if (row) row[j] = value
}
