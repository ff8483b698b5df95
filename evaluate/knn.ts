// Weighted k-nearest-neighbour accuracy of frozen features: InstDisc, https://arxiv.org/abs/1805.01978, section 3.4.
// score[c] = sum of exp(q·f / temperature) over those of the k nearest features f whose class is c.

import { type Tensor, ShapeError, dim, matrix, show } from '../kernels/op.ts'
import { knnVote } from '../kernels/knn-vote.ts'
import { l2Normalize } from '../kernels/l2-normalize.ts'
import {
  anything,
  checkOptions,
  checkTensor,
  checkValue,
  describe,
  either,
  flag,
  having,
  tensor,
} from '../kernels/options.ts'
import { Gpu } from '../engine/gpu.ts'

const CHUNK = 16 * 2 ** 20 // similarities at a time: 64 MiB

export interface KnnOptions {
  /** Neighbours that vote; the number of features when there are fewer. 200 as in the paper. */
  readonly k?: number
  /** 0.5 as leftthomas/SimCLR has it; the paper's is 0.07. */
  readonly temperature?: number
  /** Number of classes; one more than the largest label unless told. */
  readonly classes?: number
  /** True when the rows of features and queries have unit length already. */
  readonly normalized?: boolean
  /** Similarities made at a time, of 4 bytes each, though never fewer than one query's; 2^24 unless told. */
  readonly chunk?: number
}

export interface KnnResult {
  /** [Q, classes], in row-major order; Infinity where a score passes the range of f32 (temperatures below 0.012). */
  readonly scores: Float32Array
  /** [Q]: the class with the largest score, the lowest of equals; sound even where scores are infinite. */
  readonly predictions: Int32Array
}

const numeric = { words: 'a number', fits: (v: unknown) => typeof v === 'number' } // its range is checked below

const rules = {
  ...{ k: anything, temperature: numeric, classes: anything, normalized: flag, chunk: numeric },
}

/** The classes of queries [Q, D] by the vote of their nearest features [M, D], whose labels are [M]; both are normalised
 *  first. Equally near features count in order of index. Similarities are made a few queries at a time. Steps may run
 *  while you wait; with `normalized`, none of them may be the end of features or queries. Throws ShapeError, and Error for
 *  labels, k, temperature or chunk out of range, and for features that are not finite. */
export async function knn(
  features: Tensor,
  labels: ArrayLike<number> | Tensor,
  queries: Tensor,
  options: KnnOptions = {},
): Promise<KnnResult> {
  const checked = checkOptions('knn', options, rules)
  const { k: wanted = 200, temperature = 0.5, classes: told, normalized = false, chunk = CHUNK } = checked
  checkTensor('knn', 'features', features)
  checkTensor('knn', 'queries', queries)
  checkValue('knn', 'labels', labels, either(tensor, having('an array of whole numbers', 'length')))
  const { gpu } = features
  if (!(gpu instanceof Gpu)) throw new Error('knn: features must be a tensor of a Gpu')
  const [M, Q] = rowsOf(features, queries)
  if (!(Number.isInteger(wanted) && wanted >= 1))
    throw new Error(`knn: k must be a whole number from 1, got ${describe(wanted)}`)
  if (!(temperature > 0)) throw new Error(`knn: temperature must be above 0, got ${temperature}`)
  if (!(chunk >= 1)) throw new Error(`knn: chunk must be at least 1, got ${chunk}`)
  const k = Math.min(wanted, M)
  // before anything is awaited, since a step may be the end of what an earlier one returned
  const [f, q] = normalized ? [features, queries] : gpu.noGrad(() => unitRows(features, queries))
  const { bankLabels, classes } = checkLabels(
    'gpu' in labels ? await gpu.read(labels) : labels,
    features,
    told,
  )
  const y = gpu.tensor(bankLabels, [M])
  const result = { scores: new Float32Array(Q * classes), predictions: new Int32Array(Q) }
  const rows = Math.max(1, Math.min(65535, Math.floor(chunk / Math.max(M, classes))))
  for (let start = 0; start < Q; start += rows) {
    const end = Math.min(Q, start + rows)
    const { votes, largest } = gpu.noGrad(() => knnVote(q, f, y, { start, end, k, temperature, classes }))
    const [v, most] = await Promise.all([gpu.read(votes), gpu.read(largest)])
    judge({ v, most, classes, temperature }, start, result)
  }
  return result
}

/** The share of predictions that are right, in percent. Throws Error when the counts differ or are 0. */
export function accuracy(predictions: ArrayLike<number>, labels: ArrayLike<number>): number {
  for (const [name, given] of Object.entries({ predictions, labels }))
    checkValue('accuracy', name, given, having('an array of classes', 'length'))
  if (predictions.length !== labels.length || labels.length === 0)
    throw new Error(
      `accuracy: there must be one prediction per label, got ${predictions.length} for ${labels.length} labels`,
    )
  let right = 0
  for (let i = 0; i < labels.length; i++) if (predictions[i] === labels[i]) right++
  return (100 * right) / labels.length
}

const unitRows = (features: Tensor, queries: Tensor) => [l2Normalize(features), l2Normalize(queries)] as const

function rowsOf(features: Tensor, queries: Tensor): [M: number, Q: number] {
  const [M, D] = matrix(features.shape, 'knn: features')
  const [Q, width] = matrix(queries.shape, 'knn: queries')
  if (D !== width || M === 0)
    throw new ShapeError(
      `knn: features [M, D] and queries [Q, D] must agree in D, with M at least 1, got ${show(features.shape)} and ${show(queries.shape)}`,
    )
  return [M, Q]
}

function checkLabels(labels: ArrayLike<number>, features: Tensor, told: number | undefined) {
  const M = dim(features.shape, 0)
  if (labels.length !== M)
    throw new ShapeError(
      `knn: there must be one label per feature, got ${labels.length} for ${show(features.shape)}`,
    )
  const bankLabels = Int32Array.from(labels)
  const classes = told ?? bankLabels.reduce((a, b) => Math.max(a, b), 0) + 1
  if (!(Number.isInteger(classes) && classes >= 1))
    throw new Error(`knn: classes must be a whole number from 1, got ${describe(classes)}`)
  for (let i = 0; i < M; i++) {
    const label = labels[i] ?? NaN
    if (label !== bankLabels[i] || label < 0 || label >= classes)
      throw new Error(`knn: labels must be whole numbers from 0 to ${classes - 1}, got ${label} at ${i}`)
  }
  return { bankLabels, classes }
}

interface Votes {
  /** [n, classes]: sum of exp((s - most) / temperature) over the similarities s of a class. */
  readonly v: Float32Array
  readonly most: Float32Array
  readonly classes: number
  readonly temperature: number
}

/** Writes scores and predictions of the queries from `start` on. Classes are compared by log score, which does not overflow. */
function judge({ v, most, classes, temperature }: Votes, start: number, { scores, predictions }: KnnResult) {
  for (let i = 0; i < v.length; i += classes) {
    let best = -Infinity
    const query = start + i / classes
    for (let c = 0; c < classes; c++) {
      const votes = v[i + c] ?? NaN
      const height = (most[i + c] ?? NaN) / temperature
      if (Number.isNaN(votes + height))
        throw new Error('knn: features or queries are not finite; the encoder has diverged')
      const logScore = votes === 0 ? -Infinity : height + Math.log(votes)
      scores[query * classes + c] = votes === 0 ? 0 : votes * Math.exp(height)
      if (logScore > best) {
        best = logScore
        predictions[query] = c
      }
    }
  }
}
