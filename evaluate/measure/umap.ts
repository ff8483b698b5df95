// UMAP (McInnes, Healy and Melville 2018, https://arxiv.org/abs/1802.03426): a map on which
// neighbours among features stay neighbours.

import type { Gpu } from '../../engine/gpu.ts'
import { loadedLater } from '../../kernels/loaded-later.ts'
import type { Tensor } from '../../kernels/op.ts'
import { checkOptions, count, onGpu } from '../../kernels/options.ts'
import { seedRule } from '../../kernels/seeds.ts'
import { threefry2x32 } from '../../kernels/wgsl/threefry.ts'
import { nearestOthers } from '../curate/neighbour-distances.ts'
import { gpuOf, onHost } from '../nearest.ts'
import { type FeatureRows, checkFeatures, checkFinite } from '../slabs.ts'

/** Options of `umap`. */
export interface UmapOptions {
  /** Neighbours of each feature that the map keeps near; 15 by default. At most M - 2. */
  readonly neighbours?: number
  /** How close features may lie on the map; 0.1 by default. */
  readonly minDistance?: number
  /** Decides the first places and the order of the steps; 0 by default. */
  readonly seed?: number
  /** The Gpu to compute on, when features are no tensor. */
  readonly gpu?: Gpu
}

/** A map of M features. */
export interface Umap {
  /** [M, 2] */
  readonly coordinates: Float64Array
}

const STREAM = 0x0a9 // of its random numbers
const FEWEST = 4 // features: below, neighbours say nothing
const distance = {
  words: 'a number from 0 to 1',
  fits: (v: unknown) => typeof v === 'number' && v >= 0 && v <= 1,
}
const rules = { neighbours: count, minDistance: distance, seed: seedRule, gpu: onGpu }

/** Lays features [M, D] out in a plane by 1 - cosine. The GPU finds the neighbours among all pairs;
 *  umap-js places them on the CPU, which takes minutes above 10,000 features. The same seed makes
 *  the same map. Throws RangeError for fewer than 4 features, ShapeError, and Error for features
 *  that are not finite or without a Gpu to compute on. */
export async function umap(
  features: Tensor | FeatureRows,
  options: UmapOptions = {},
): Promise<Umap> {
  const checked = checkOptions('umap', options, rules)
  const { neighbours = 15, minDistance = 0.1, seed = 0, gpu: given } = checked
  checkFeatures('umap', features, features)
  const gpu = gpuOf('umap', features, features, given)
  const rows = await onHost('umap', 'features', features)
  const { M } = rows
  if (M < FEWEST) throw new RangeError(`umap: needs at least ${FEWEST} features, got ${M}`)
  checkFinite('umap', rows.features)
  const { indices, cosines, k } = await nearestOthers(gpu, rows, Math.min(neighbours, M - 2)) // umap-js takes fewer than M, itself included
  // umap-learn's lists begin with the feature itself, at distance 0
  const listed = <T>(self: (m: number) => T, other: (at: number) => T) =>
    Array.from({ length: M }, (_, m) => [
      self(m),
      ...Array.from({ length: k }, (__, j) => other(m * k + j)),
    ])
  let drawn = 0
  const random = () => threefry2x32([seed, STREAM], [drawn++, 0])[0] / 2 ** 32
  const { UMAP } = await loadedLater('umap', () => import('umap-js'))
  const map = new UMAP({ nNeighbors: k + 1, minDist: minDistance, random })
  map.setPrecomputedKNN(
    listed(
      (m) => m,
      (at) => indices[at] ?? 0,
    ),
    listed(
      () => 0,
      (at) => Math.max(0, 1 - (cosines[at] ?? NaN)),
    ),
  )
  const places = await map.fitAsync(Array.from({ length: M }, (_, m) => [m])) // only their number counts
  return { coordinates: Float64Array.from(places.flat()) }
}
