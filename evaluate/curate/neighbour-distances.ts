// How far samples are from their nearest neighbours.

import type { Abortable } from '../../kernels/abort.ts'
import type { Gpu } from '../../engine/gpu.ts'
import type { Embeddings } from '../embed.ts'
import type { Followed } from '../followed.ts'
import { nearest } from '../nearest.ts'

/** The distances of each of M features from its k nearest others. */
export interface Neighbours {
  /** [M, k], indices of the others, the nearest first. */
  readonly indices: Uint32Array
  /** [M, k], their cosines. */
  readonly cosines: Float32Array
  /** k, at most M - 1. */
  readonly k: number
}

/** Finds the k nearest others of each feature. Rejects with the reason of an aborted signal. */
export async function nearestOthers(
  gpu: Gpu,
  rows: Embeddings,
  k: number,
  how: Abortable & Followed = {},
): Promise<Neighbours> {
  const { M } = rows
  const most = Math.min(k, M - 1)
  const found = await nearest(rows, rows, most + 1, { gpu, ...how })
  const indices = new Uint32Array(M * most)
  const cosines = new Float32Array(M * most)
  for (let m = 0; m < M; m++) {
    const near = found.indices.subarray(m * found.k, (m + 1) * found.k)
    const own = near.indexOf(m) // may be beyond k others that equal it
    for (let j = 0; j < most; j++) {
      const at = m * found.k + j + Number(own >= 0 && j >= own)
      indices[m * most + j] = found.indices[at] ?? 0
      cosines[m * most + j] = found.similarities[at] ?? NaN
    }
  }
  return { indices, cosines, k: most }
}
