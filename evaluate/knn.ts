// Weighted k-nearest-neighbour classification of frozen features (Wu et al. 2018,
// https://arxiv.org/abs/1805.01978, section 3.4):
//   score[c] = sum of exp(q·f / temperature) over those of the k nearest features f of class c.

import { unlessAborted } from '../kernels/abort.ts'
import { type Tensor, ShapeError, matrix, show } from '../kernels/op.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'
import { flatNumbers } from '../kernels/numbers.ts'
import { knnVote } from '../kernels/knn/knn-vote.ts'
import { l2Normalize } from '../kernels/reduce/l2-normalize.ts'
import { sum } from '../kernels/reduce/sum.ts'
import { nearestRows, writtenBefore } from '../kernels/knn/nearest-rows.ts'
import { LEAST_TEMPERATURE } from '../kernels/limits.ts'
import {
  anything,
  checkOptions,
  checkValue,
  describe,
  either,
  having,
  isTensor,
  tensor,
} from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type NearestOptions, checkCounts, gpuOf, nearestRules, onHost } from './nearest.ts'
import { type Lists, CHUNK, search } from './search.ts'
import { type KnnResult, emptyResult, judge } from './knn-result.ts'
import { type FeatureRows, type Rows, checkFeatures, checkFinite } from './slabs.ts'

/** Options of `knn`, besides those of `nearest`. */
export interface KnnOptions extends NearestOptions {
  /** Number of neighbours that vote; the paper's 200 by default. All features vote when there are
   *  fewer. */
  readonly k?: number
  /** Temperature of the votes; by default 0.5 as in leftthomas/SimCLR. The paper's is 0.07. */
  readonly temperature?: number
  /** Number of classes; by default the largest label plus 1. */
  readonly classes?: number
}

// `knn` checks the range
const numeric = { words: 'a number', fits: (v: unknown) => typeof v === 'number' }

const rules = { k: anything, temperature: numeric, classes: anything, ...nearestRules }

/** Classifies queries [Q, D] by the vote of their k nearest features [M, D], whose labels are [M].
 *  Nearness is the cosine: both are scaled to unit rows first. Of equally near features those with
 *  the lowest indices vote. `chunk` limits the similarities in memory.
 *
 *  Two tensors are compared on their GPU. Other steps may run meanwhile; with `normalized` these
 *  must not free either tensor. Features on the host, or in parts as `embedSlabs` yields them, are
 *  uploaded slab by slab in steps of its own, so neither the GPU nor the host holds more than a
 *  part. The result is the same.
 *
 *  Throws ShapeError, RangeError for k, chunk or slab out of range, and Error for labels or a
 *  temperature out of range and for features that are not finite. Rejects with the signal's reason
 *  at once when it is aborted. */
export async function knn(
  features: Tensor | Rows,
  labels: IndexList | Tensor,
  queries: Tensor | FeatureRows,
  options: KnnOptions = {},
): Promise<KnnResult> {
  const {
    k = 200,
    temperature = 0.5,
    chunk = CHUNK,
    slab,
    gpu: told,
  } = checkOptions('knn', options, rules)
  checkFeatures('knn', features, queries)
  checkValue('knn', 'labels', labels, either(tensor, having('an array of whole numbers', 'length')))
  const gpu = gpuOf('knn', features, queries, told)
  checkCounts('knn', { k, slab, chunk })
  if (!(temperature > 0)) throw new Error(`knn: temperature must be above 0, got ${temperature}`)
  if (temperature < LEAST_TEMPERATURE)
    throw new Error(`knn: temperature must be at least 2^-126 (about 1.2e-38), got ${temperature}`)
  const settings = { ...options, k, temperature, chunk }
  if ('gpu' in features && 'gpu' in queries)
    return knnInPlace(gpu, features, labels, queries, settings)
  return knnOfSlabs(gpu, features, labels, queries, settings)
}

type Settings = KnnOptions & {
  readonly k: number
  readonly temperature: number
  readonly chunk: number
}

/** Votes with features that are one tensor. */
async function knnInPlace(
  gpu: Gpu,
  features: Tensor,
  labels: IndexList | Tensor,
  queries: Tensor,
  { k: wanted, temperature, chunk, classes: told, normalized = false, ...heard }: Settings,
): Promise<KnnResult> {
  const { signal, onProgress } = heard
  const [M, Q] = rowsOf(features, queries)
  const k = Math.min(wanted, M)
  // before any await: a step that runs meanwhile may free what an earlier one returned
  const [f, q] = normalized ? [features, queries] : gpu.noGrad(() => unitRows(features, queries))
  // unit rows have finite sums; the similarities alone may hide an infinite row, nearest to nobody
  const sums = normalized ? gpu.noGrad(() => [sum(f, 1), sum(q, 1)]) : []
  const given = await unlessAborted(signal, Promise.resolve(labelsOf(labels)))
  const reading = Promise.all(sums.map((t) => gpu.read(t)))
  for (const totals of await unlessAborted(signal, reading)) checkFinite('knn', totals)
  const { bankLabels, classes } = checkLabels(given, told)
  checkCount(bankLabels, features.shape)
  const y = gpu.tensor(bankLabels, [M])
  const result = emptyResult(gpu, Q, classes)
  const rows = Math.max(1, Math.min(65535, Math.floor(chunk / Math.max(M, classes))))
  for (let start = 0; start < Q; start += rows) {
    const end = Math.min(Q, start + rows)
    const { votes, largest } = gpu.noGrad(() => {
      const near = nearestRows(q, f, y, { start, end, k })
      return knnVote(near.similarities, near.tags, { temperature, classes })
    })
    const counted = Promise.all([gpu.read(votes), gpu.read(largest)])
    const [v, most] = await unlessAborted(signal, counted)
    judge({ v, most, classes, temperature }, start, result)
    onProgress?.({ done: M * end, total: M * Q })
  }
  return result
}

/** Votes with features that come slab by slab. */
async function knnOfSlabs(
  gpu: Gpu,
  features: Tensor | Rows,
  labels: IndexList | Tensor,
  queries: Tensor | FeatureRows,
  { k, temperature, chunk, classes: told, normalized = false, slab, signal, ...more }: Settings,
): Promise<KnnResult> {
  const host = [onHost('knn', 'features', features), onHost('knn', 'queries', queries)] as const
  const reading = Promise.all([...host, labelsOf(labels)])
  const [bank, asked, given] = await unlessAborted(signal, reading)
  const { bankLabels, classes } = checkLabels(given, told)
  if ('features' in bank) checkCount(bankLabels, [bank.M, bank.D])
  const result = emptyResult(gpu, asked.M, classes)
  const { onProgress } = more
  const size = bankLabels.length
  const at = { owner: 'knn', k, normalized, chunk, slab, signal, onProgress, size }
  const lists = await search(gpu, bank, asked, at)
  if (lists.M === 0) throw new ShapeError('knn: features [M, D] must have M at least 1, got none')
  checkCount(bankLabels, [lists.M, asked.D])
  const near = inOrder(gpu, lists)
  const voters = Int32Array.from(near.indices, (index) => bankLabels[index] ?? 0)
  const rows = Math.max(1, Math.min(65535, Math.floor(chunk / Math.max(lists.k, classes))))
  for (let start = 0; start < asked.M; start += rows) {
    const shape = [Math.min(rows, asked.M - start), lists.k]
    const cut = [start * lists.k, (start + rows) * lists.k] as const
    const [votes, largest] = gpu.step(() => {
      const similarities = gpu.tensor(near.similarities.subarray(...cut), shape)
      const vote = knnVote(similarities, gpu.tensor(voters.subarray(...cut), shape), {
        temperature,
        classes,
      })
      return [vote.votes, vote.largest] as const
    })
    const counted = Promise.all([gpu.read(votes), gpu.read(largest)])
    const [v, most] = await unlessAborted(signal, counted)
    judge({ v, most, classes, temperature }, start, result)
  }
  return result
}

/** Sorts each list into the order in which one slab would write it, because the bits of a sum
 *  depend on the order. */
function inOrder(gpu: Gpu, { similarities, indices, k }: Lists) {
  const before = writtenBefore(gpu.run)
  const ordered = {
    similarities: new Float32Array(indices.length),
    indices: new Uint32Array(indices.length),
  }
  for (let start = 0; start < indices.length; start += k) {
    const order = Array.from({ length: k }, (_, j) => start + j)
    order.sort((a, b) => before(indices[a] ?? 0, indices[b] ?? 0))
    for (const [j, i] of order.entries()) {
      ordered.similarities[start + j] = similarities[i] ?? NaN
      ordered.indices[start + j] = indices[i] ?? 0
    }
  }
  return ordered
}

const isTensorOf = (labels: IndexList | Tensor): labels is Tensor => isTensor(labels)

const unitRows = (features: Tensor, queries: Tensor) =>
  [l2Normalize(features), l2Normalize(queries)] as const

function rowsOf(features: Tensor, queries: Tensor): [M: number, Q: number] {
  const [M, D] = matrix(features.shape, 'knn: features')
  const [Q, width] = matrix(queries.shape, 'knn: queries')
  if (D !== width || M === 0)
    throw new ShapeError(
      `knn: features [M, D] and queries [Q, D] must agree in D, with M at least 1, got ${show(features.shape)} and ${show(queries.shape)}`,
    )
  return [M, Q]
}

const labelsOf = (labels: IndexList | Tensor): Promise<Float32Array> | IndexList =>
  isTensorOf(labels) ? (labels.gpu as Gpu).read(labels) : labels

function checkCount(labels: Int32Array, features: readonly number[]) {
  if (labels.length !== features[0])
    throw new ShapeError(
      `knn: there must be one label per feature, got ${labels.length} for ${show(features)}`,
    )
}

function checkLabels(given: IndexList, told: number | undefined) {
  const labels = flatNumbers('knn: labels', given)
  const bankLabels = Int32Array.from(labels)
  const classes = told ?? bankLabels.reduce((a, b) => Math.max(a, b), 0) + 1
  if (!(Number.isInteger(classes) && classes >= 1))
    throw new Error(`knn: classes must be a whole number from 1, got ${describe(classes)}`)
  for (let i = 0; i < bankLabels.length; i++) {
    const label = labels[i] ?? NaN
    if (label !== bankLabels[i] || label < 0 || label >= classes)
      throw new Error(
        `knn: labels must be whole numbers from 0 to ${classes - 1}, got ${label} at ${i}`,
      )
  }
  return { bankLabels, classes }
}
