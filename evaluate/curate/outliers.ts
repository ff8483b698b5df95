// Samples that are unlike all others: a score by the distance to the nearest neighbours (Ramaswamy,
// Rastogi and Shim 2000, https://doi.org/10.1145/335191.335437).

import { type Abortable, abortable, unlessAborted } from '../../kernels/abort.ts'
import type { Tensor } from '../../kernels/op.ts'
import { checkOptions, count, onGpu } from '../../kernels/options.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { type Followed, followed } from '../followed.ts'
import { gpuOf, onHost } from '../nearest.ts'
import { type FeatureRows, checkFeatures } from '../slabs.ts'
import { nearestOthers } from './neighbour-distances.ts'

/** Options of `outliers`. */
export interface OutlierOptions extends Abortable, Followed {
  /** Number of neighbours; 10 by default. At most the number of other features. */
  readonly k?: number
  /** The Gpu to compute on, when features are no tensor. */
  readonly gpu?: Gpu
}

const rules = { k: count, gpu: onGpu, ...followed, ...abortable }

/** How unlike the others each of M features is. */
export interface Outliers {
  /** [M], the mean of 1 - cosine over the k nearest others: 0 for a copy, 1 where all are at right
   *  angles, 2 at most. */
  readonly scores: Float64Array
  /** [M], indices, the most unlike first; of equals the lowest first. */
  readonly order: Uint32Array
}

/** Scores features [M, D] by their distance to their neighbours. Compares all pairs, a few queries
 *  at a time. Throws RangeError for fewer than two features, ShapeError, and Error for features
 *  that are not finite or without a Gpu to compute on. Rejects with the signal's reason when it is
 *  aborted. */
export async function outliers(
  features: Tensor | FeatureRows,
  options: OutlierOptions = {},
): Promise<Outliers> {
  const { k = 10, gpu: told, signal, onProgress } = checkOptions('outliers', options, rules)
  checkFeatures('outliers', features, features)
  const gpu = gpuOf('outliers', features, features, told)
  const rows = await unlessAborted(signal, onHost('outliers', 'features', features))
  if (rows.M < 2) throw new RangeError(`outliers: needs at least 2 features, got ${rows.M}`)
  const how = { onProgress, ...(signal && { signal }) }
  const near = await nearestOthers(gpu, rows, k, how)
  const scores = new Float64Array(rows.M)
  for (let i = 0; i < near.cosines.length; i++) {
    const m = Math.floor(i / near.k)
    scores[m] = (scores[m] ?? 0) + (1 - (near.cosines[i] ?? NaN)) / near.k
  }
  const order = Uint32Array.from(scores.keys())
  order.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b)
  return { scores, order }
}
