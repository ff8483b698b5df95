// TypiClust (Hacohen, Dekel and Weinshall 2022, https://arxiv.org/abs/2202.02794): which few samples
// are worth a label. With few labels, typical samples of different clusters teach more than
// uncertain or extreme ones.
//
//   typicality(x) = (1/K Σ |x - x_i|)^-1 over the K nearest x_i of x's cluster

import { loadedLater } from '../../kernels/loaded-later.ts'
import { type Abortable, abortable } from '../../kernels/abort.ts'
import type { Tensor } from '../../kernels/op.ts'
import { checkOptions, count, having, needed, onGpu } from '../../kernels/options.ts'
import { seedRule } from '../../kernels/seeds.ts'
import type { IndexList } from '../../kernels/wgsl/indices.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { type Embeddings, rowsAt } from '../embed.ts'
import { sampleIndices } from '../labels.ts'
import { gpuOf, onHost } from '../nearest.ts'
import { type FeatureRows, checkFeatures, checkFinite } from '../slabs.ts'
import { unitRowsOf } from './k-centre.ts'
import { nearestOthers } from './neighbour-distances.ts'

/** Options of `mostTypical`. */
export interface TypicalOptions extends Abortable {
  /** Number of samples to choose. */
  readonly picks: number
  /** Samples chosen already, such as the labelled ones. Clusters without one come first. */
  readonly initial?: IndexList
  /** K, neighbours of a sample; the paper's 20 by default. */
  readonly neighbours?: number
  /** Seed of the clusters' first centres, a whole number from 0; 0 by default. */
  readonly seed?: number
  /** The Gpu to compute on, when features are no tensor. */
  readonly gpu?: Gpu
}

/** The chosen samples. */
export interface Typical {
  /** [picks], their indices, of the largest clusters first. */
  readonly order: Uint32Array
  /** [M], the cluster of each sample. */
  readonly clusters: Uint32Array
}

const rules = {
  ...{ picks: needed(count), initial: having('an array of indices', 'length') },
  ...{ neighbours: count, seed: seedRule, gpu: onGpu },
  ...abortable,
}

/** Divides features [M, D] into as many clusters as there will be labels, by k-means of unit rows,
 *  and chooses the most typical sample of each of the largest clusters that have none yet. Throws
 *  RangeError for indices out of range or more picks than samples, ShapeError, and Error for
 *  features that are not finite or without a Gpu to compute on. Rejects with the signal's reason
 *  when it is aborted, after the clusters. */
export async function mostTypical(
  features: Tensor | FeatureRows,
  options: TypicalOptions,
): Promise<Typical> {
  const checked = checkOptions('mostTypical', options, rules)
  const { picks, initial = [], neighbours = 20, seed = 0, gpu: told, signal } = checked
  checkFeatures('mostTypical', features, features)
  const gpu = gpuOf('mostTypical', features, features, told)
  const rows = await onHost('mostTypical', 'features', features)
  checkFinite('mostTypical', rows.features)
  const taken = new Set(sampleIndices('mostTypical', initial, rows.M))
  if (picks + taken.size > rows.M)
    throw new RangeError(
      `mostTypical: picks must be at most the ${rows.M - taken.size} features not chosen yet, got ${picks}`,
    )
  const clusters = await clustersOf(rows, picks + taken.size, seed)
  const members = membersOf(clusters)
  const order: number[] = []
  const uses = new Map<number, number>()
  const use = (m: number) => uses.set(clusters[m] ?? 0, (uses.get(clusters[m] ?? 0) ?? 0) + 1)
  taken.forEach(use)
  while (order.length < picks) {
    signal?.throwIfAborted()
    const cluster = emptiest(members, uses, taken)
    const next = await typicalOf(gpu, rows, { among: cluster, taken, neighbours, signal })
    order.push(next)
    taken.add(next)
    use(next)
  }
  return { order: Uint32Array.from(order), clusters }
}

/** The members of each cluster, in order. */
function membersOf(clusters: Uint32Array): Map<number, number[]> {
  const members = new Map<number, number[]>()
  for (const [m, cluster] of clusters.entries()) {
    const own = members.get(cluster)
    if (own) own.push(m)
    else members.set(cluster, [m])
  }
  return members
}

async function clustersOf(rows: Embeddings, many: number, seed: number): Promise<Uint32Array> {
  const { kmeans } = await loadedLater('mostTypical', () => import('ml-kmeans'))
  const { M, D } = rows
  const unit = unitRowsOf(rows)
  const data = Array.from({ length: M }, (_, m) => Array.from(unit.subarray(m * D, (m + 1) * D)))
  return Uint32Array.from(kmeans(data, many, { seed, initialization: 'kmeans++' }).clusters)
}

/** The members of the cluster with the fewest chosen samples that has others, the largest of
 *  equals. */
function emptiest(
  members: ReadonlyMap<number, readonly number[]>,
  uses: ReadonlyMap<number, number>,
  taken: ReadonlySet<number>,
): readonly number[] {
  const open = [...members].filter(([, own]) => own.some((m) => !taken.has(m)))
  open.sort(
    ([a, own], [b, others]) =>
      (uses.get(a) ?? 0) - (uses.get(b) ?? 0) || others.length - own.length || a - b,
  )
  return open[0]?.[1] ?? []
}

interface Cluster {
  readonly among: readonly number[]
  readonly taken: ReadonlySet<number>
  readonly neighbours: number
  readonly signal: AbortSignal | undefined
}

/** The most typical member of a cluster that is not chosen yet, the first of equals. */
async function typicalOf(
  gpu: Gpu,
  rows: Embeddings,
  { among, taken, neighbours, signal }: Cluster,
) {
  const open = [...among.keys()].filter((i) => !taken.has(among[i] ?? 0))
  const [first = 0] = open
  if (among.length < 2) return among[first] ?? 0
  const { cosines, k } = await nearestOthers(gpu, rowsAt(rows, among), neighbours, {
    ...(signal && { signal }),
  })
  const distance = (i: number) => {
    let sum = 0
    for (let j = i * k; j < (i + 1) * k; j++)
      sum += Math.sqrt(Math.max(0, 2 - 2 * (cosines[j] ?? NaN)))
    return sum
  }
  const distances = new Map(open.map((i) => [i, distance(i)]))
  const best = open.reduce(
    (a, b) => ((distances.get(b) ?? 0) < (distances.get(a) ?? 0) ? b : a),
    first,
  )
  return among[best] ?? 0
}
