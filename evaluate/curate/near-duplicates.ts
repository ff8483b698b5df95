// Pairs of features that are almost the same direction, and the groups that they make.

import { type Abortable, abortable, unlessAborted } from '../../kernels/abort.ts'
import type { Tensor } from '../../kernels/op.ts'
import { checkOptions, count, needed, onGpu, rule } from '../../kernels/options.ts'
import { rowsAbove } from '../../kernels/knn/rows-above.ts'
import { l2Normalize } from '../../kernels/reduce/l2-normalize.ts'
import type { Gpu } from '../../engine/gpu.ts'
import type { Embeddings } from '../embed.ts'
import { type Followed, followed } from '../followed.ts'
import { gpuOf, onHost } from '../nearest.ts'
import { CHUNK } from '../search.ts'
import { type FeatureRows, checkFeatures, checkFinite } from '../slabs.ts'

const ROOM = 32 // pairs of a row that are read at once; rows with more are read again

/** Options of `nearDuplicates`. */
export interface DuplicateOptions extends Abortable, Followed {
  /** Cosine from which two features are near duplicates, above 0 and at most 1. */
  readonly threshold: number
  /** Most pairs; a million by default. More of them say that the threshold is too low. */
  readonly most?: number
  /** The Gpu to compute on, when features are no tensor. */
  readonly gpu?: Gpu
}

/** Near duplicates among M features. */
export interface Duplicates {
  /** [P, 2], pairs i < j of indices, in order of i, then j. */
  readonly pairs: Uint32Array
  /** [P], their cosines. */
  readonly cosines: Float32Array
  /** [M], the lowest index of each feature's group: of all that a chain of pairs connects. */
  readonly groups: Uint32Array
}

const rules = {
  threshold: needed(
    rule('a number above 0, at most 1', (v) => typeof v === 'number' && v > 0 && v <= 1),
  ),
  ...{ most: count, gpu: onGpu },
  ...followed,
  ...abortable,
}

/** Finds all pairs of features [M, D] whose cosine is at least the threshold. Compares M² / 2
 *  pairs, those of some rows at a time; memory is that of the features and the pairs. Throws
 *  ShapeError, RangeError for more than `most` pairs, and Error for features that are not finite,
 *  too many for one tensor, or without a Gpu to compute on. Rejects with the signal's reason when
 *  it is aborted. */
export async function nearDuplicates(
  features: Tensor | FeatureRows,
  options: DuplicateOptions,
): Promise<Duplicates> {
  const {
    threshold,
    most = 1e6,
    gpu: told,
    signal,
    onProgress,
  } = checkOptions('nearDuplicates', options, rules)
  checkFeatures('nearDuplicates', features, features)
  const gpu = gpuOf('nearDuplicates', features, features, told)
  const rows = await unlessAborted(signal, onHost('nearDuplicates', 'features', features))
  checkFinite('nearDuplicates', rows.features)
  const found = await unlessAborted(
    signal,
    allPairs(gpu, rows, { threshold, most, signal, onProgress }),
  )
  return {
    pairs: Uint32Array.from(found.flatMap(({ i, j }) => [i, j])),
    cosines: Float32Array.from(found, ({ cosine }) => cosine),
    groups: connectedBy(rows.M, found),
  }
}

interface Found {
  readonly i: number
  readonly j: number
  readonly cosine: number
}

interface Search {
  readonly threshold: number
  readonly most: number
  /** Ends the search before the next rows. */
  readonly signal: AbortSignal | undefined
  readonly onProgress: Followed['onProgress'] | undefined
}

/** Finds the pairs of all rows, in order. */
async function allPairs(
  gpu: Gpu,
  { features, M, D }: Embeddings,
  { threshold, most, signal, onProgress }: Search,
): Promise<Found[]> {
  const found: Found[] = []
  const pairsAmong = (n: number) => (n * (n - 1)) / 2
  const total = pairsAmong(M)
  const rows = gpu.noGrad(() => l2Normalize(gpu.tensor(features, [M, D])))
  try {
    for (let at = 0; at < M;) {
      signal?.throwIfAborted()
      const end = Math.min(M, at + Math.max(1, Math.min(65535, Math.floor(CHUNK / (M - at)))))
      for (const pair of await pairsOf(gpu, rows, { start: at, end, threshold })) found.push(pair)
      if (found.length > most)
        throw new RangeError(
          `nearDuplicates: there are more than ${most} pairs at threshold ${threshold}; give a higher one (an encoder that has collapsed makes all features alike)`,
        )
      at = end
      onProgress?.({ done: total - pairsAmong(M - end), total })
    }
    return found
  } finally {
    gpu.free(rows)
  }
}

interface Span {
  readonly start: number
  readonly end: number
  readonly threshold: number
}

/** The pairs of the rows start .. end with later ones, in order. */
async function pairsOf(gpu: Gpu, rows: Tensor, span: Span, room = ROOM): Promise<Found[]> {
  const made = gpu.noGrad(() => rowsAbove(rows, { ...span, room }))
  const [counts, offsets, values] = await Promise.all(
    [made.counts, made.found, made.values].map((t) => gpu.read(t)),
  )
  gpu.free(made)
  const longest = counts?.reduce((a, b) => Math.max(a, b), 0) ?? 0
  if (longest > room) return pairsOf(gpu, rows, span, longest)
  return Array.from({ length: span.end - span.start }, (_, n) =>
    Array.from({ length: counts?.[n] ?? 0 }, (_gap, k) => ({
      i: span.start + n,
      j: span.start + (offsets?.[n * room + k] ?? 0),
      cosine: values?.[n * room + k] ?? NaN,
    })).sort((a, b) => a.j - b.j),
  ).flat()
}

/** The lowest index that each of M samples is connected with. */
export function connectedBy(
  M: number,
  pairs: Iterable<{ readonly i: number; readonly j: number }>,
): Uint32Array {
  const lowest = Uint32Array.from({ length: M }, (_, i) => i)
  const root = (i: number): number => {
    let at = i
    while (lowest[at] !== at) {
      lowest[at] = lowest[lowest[at] ?? 0] ?? 0 // halves the path
      at = lowest[at] ?? 0
    }
    return at
  }
  for (const { i, j } of pairs) {
    const [a, b] = [root(i), root(j)]
    lowest[Math.max(a, b)] = Math.min(a, b)
  }
  return lowest.map((_, i) => root(i))
}
