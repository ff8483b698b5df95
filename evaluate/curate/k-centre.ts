// k-centre greedy (Sener and Savarese 2018, https://arxiv.org/abs/1708.00489, algorithm 1): chooses
// samples so that no other is far from all of them.

import { checkOptions, count, having, needed, oneOf } from '../../kernels/options.ts'
import type { IndexList } from '../../kernels/wgsl/indices.ts'
import type { Embeddings } from '../embed.ts'
import { sampleIndices } from '../labels.ts'
import { type FeatureRows, checkFinite, hostRows } from '../slabs.ts'

/** Options of `kCentre`. */
export interface KCentreOptions {
  /** Number of samples to choose. All are chosen when there are fewer left. */
  readonly picks: number
  /** 1 - cosine ('cosine', the default), or the Euclidean distance. */
  readonly metric?: 'cosine' | 'euclidean'
  /** Samples chosen already, such as the labelled ones. The first pick is farthest from them; with
   *  none, it is the sample nearest to the mean of all. */
  readonly initial?: IndexList
}

/** The chosen samples. */
export interface KCentre {
  /** [picks], their indices, in the order of choice. */
  readonly order: Uint32Array
  /** [picks], the distance of each from those chosen before; Infinity for a first one. */
  readonly radius: Float64Array
  /** [M], the distance of each sample from the nearest chosen one. */
  readonly nearest: Float64Array
  /** The largest of these. */
  readonly finalRadius: number
}

const rules = {
  picks: needed(count),
  metric: oneOf('cosine', 'euclidean'),
  initial: having('an array of indices', 'length'),
}

/** Chooses among features [M, D], again and again the one farthest from all chosen, of equals the
 *  first. Takes O(picks M D) operations in float64 on the CPU. Throws ShapeError, RangeError for
 *  indices out of range, and Error for features that are not finite. */
export function kCentre(given: FeatureRows, options: KCentreOptions): KCentre {
  const { picks, metric = 'cosine', initial = [] } = checkOptions('kCentre', options, rules)
  const rows = hostRows('kCentre', 'features', given)
  const { features, M } = rows
  checkFinite('kCentre', features)
  const begun = sampleIndices('kCentre', initial, M)
  const distance = distanceOf(rows, metric)
  const nearest = new Float64Array(M).fill(Infinity)
  const taken = new Uint8Array(M)
  const choose = (i: number) => {
    taken[i] = 1
    for (let m = 0; m < M; m++)
      nearest[m] = m === i ? 0 : Math.min(nearest[m] ?? NaN, distance(i, m))
  }
  begun.forEach(choose)
  const [order, radius]: [number[], number[]] = [[], []]
  const most = Math.min(picks, taken.filter((flag) => flag === 0).length)
  while (order.length < most) {
    const next =
      order.length + begun.length === 0 ? mostCentral(rows, metric) : farthest(nearest, taken)
    order.push(next)
    radius.push(nearest[next] ?? NaN)
    choose(next)
  }
  return {
    order: Uint32Array.from(order),
    radius: Float64Array.from(radius),
    nearest,
    finalRadius: nearest.reduce((a, b) => Math.max(a, b), 0),
  }
}

/** The sample farthest from the chosen ones, the first of equals. */
function farthest(nearest: Float64Array, taken: Uint8Array): number {
  let best = -1
  for (let m = 0; m < nearest.length; m++)
    if (taken[m] === 0 && (best < 0 || (nearest[m] ?? NaN) > (nearest[best] ?? NaN))) best = m
  return best
}

type Metric = 'cosine' | 'euclidean'

/** The distance of two rows. */
function distanceOf(rows: Embeddings, metric: Metric): (i: number, m: number) => number {
  const { D } = rows
  const x = metric === 'cosine' ? unitRowsOf(rows) : Float64Array.from(rows.features)
  if (metric === 'euclidean')
    return (i, m) => {
      let square = 0
      for (let d = 0; d < D; d++) square += ((x[i * D + d] ?? NaN) - (x[m * D + d] ?? NaN)) ** 2
      return Math.sqrt(square)
    }
  return (i, m) => {
    let cosine = 0
    for (let d = 0; d < D; d++) cosine += (x[i * D + d] ?? NaN) * (x[m * D + d] ?? NaN)
    return 1 - cosine
  }
}

/** The rows at unit length; a row of zeros stays one. */
export function unitRowsOf({ features, M, D }: Embeddings): Float64Array {
  const x = Float64Array.from(features)
  for (let m = 0; m < M; m++) {
    const row = x.subarray(m * D, (m + 1) * D)
    const length = Math.sqrt(row.reduce((sum, v) => sum + v * v, 0))
    if (length > 0) for (let d = 0; d < D; d++) row[d] = (row[d] ?? NaN) / length
  }
  return x
}

/** The sample nearest to the mean of all. */
function mostCentral(rows: Embeddings, metric: Metric): number {
  const { M, D } = rows
  const x = metric === 'cosine' ? unitRowsOf(rows) : Float64Array.from(rows.features)
  const withMean = new Float32Array((M + 1) * D)
  withMean.set(x)
  for (let i = 0; i < M * D; i++)
    withMean[M * D + (i % D)] = (withMean[M * D + (i % D)] ?? 0) + (x[i] ?? NaN) / M
  const distance = distanceOf({ features: withMean, M: M + 1, D }, metric)
  let best = 0
  for (let m = 1; m < M; m++) if (distance(M, m) < distance(M, best)) best = m
  return best
}
