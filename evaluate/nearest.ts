// Finds the nearest neighbours of features, with their similarities.

import { type Abortable, abortable, unlessAborted } from '../kernels/abort.ts'
import { type Tensor, dim, matrix } from '../kernels/op.ts'
import { anything, checkOptions, describe, flag, onGpu } from '../kernels/options.ts'
import { Gpu } from '../engine/gpu.ts'

import { ResidentBank, bankOf } from './bank.ts'
import type { Embeddings } from './embed.ts'
import { type Followed, followed } from './followed.ts'
import { type Lists, CHUNK, keyOf, search } from './search.ts'
import {
  type FeatureRows,
  type Rows,
  MOST_ROWS,
  checkFeatures,
  checkQueries,
  hostRows,
} from './slabs.ts'

/** Options of `nearest`. */
export interface NearestOptions extends Abortable, Followed {
  /** True when the rows of features and queries have unit length already; false by default. */
  readonly normalized?: boolean
  /** Most similarities in memory at a time, of 4 bytes each; 2^24 by default. Those of one query
   *  are always computed together, even if they are more. */
  readonly chunk?: number
  /** Most features in one slab; by default as many as the device binds, up to 128 MiB. It does not
   *  change the result. */
  readonly slab?: number
  /** The Gpu to compute on, when neither features nor queries are tensors. */
  readonly gpu?: Gpu
}

/** Rules of these options. `checkCounts` checks the counts. */
export const nearestRules = {
  normalized: flag,
  chunk: anything,
  slab: anything,
  gpu: onGpu,
  ...followed,
  ...abortable,
}

/** The nearest features of each query. */
export interface Nearest {
  /** [Q, k], indices of features, nearest first; of equally near ones the lowest first. */
  readonly indices: Uint32Array
  /** [Q, k], their cosines with the query. */
  readonly similarities: Float32Array
  /** Neighbours of each query: k, or the number of features when there are fewer. */
  readonly k: number
}

/** Finds the k of features [M, D] that are nearest to each of queries [Q, D] by cosine. Both may be
 *  tensors or on the host. Features may come in parts, as `embedSlabs` yields them; one part is
 *  held at a time. For queries that come again and again, `residentBank` uploads features once.
 *  Only indices and similarities are read from the GPU. Runs steps of its own. Throws ShapeError,
 *  RangeError for k, chunk or slab out of range, and Error for features that are not finite, or
 *  without a Gpu to compute on. Rejects with the signal's reason at once when it is aborted. */
export async function nearest(
  features: Tensor | Rows | ResidentBank,
  queries: Tensor | FeatureRows,
  k: number,
  options: NearestOptions = {},
): Promise<Nearest> {
  const {
    normalized = false,
    chunk = CHUNK,
    slab,
    gpu,
    signal,
    onProgress,
  } = checkOptions('nearest', options, nearestRules)
  const isBank = features instanceof ResidentBank
  if (isBank) checkQueries('nearest', queries)
  else checkFeatures('nearest', features, queries)
  checkCounts('nearest', { k, slab, chunk })
  const on = gpuOf('nearest', features, queries, gpu)
  if (isBank && slab !== undefined)
    throw new TypeError('nearest: a resident bank has its slabs already; leave out slab')
  const reading = [
    bankFor(on, features, { normalized, slab }),
    onHost('nearest', 'queries', queries),
  ] as const
  const [bank, asked] = await unlessAborted(signal, Promise.all(reading))
  try {
    const at = { owner: 'nearest', k, normalized, chunk, slab, signal, onProgress }
    const lists = await search(on, bank, asked, at)
    if (lists.M > 0) return sorted(lists, asked.M)
    throw new RangeError('nearest: features must have at least one row, got none')
  } finally {
    if (bank instanceof ResidentBank && !isBank) bank.free()
  }
}

/** Returns a tensor as a bank in place, if it is searched as one slab; a bank as it is; other
 *  features on the host. */
async function bankFor(
  gpu: Gpu,
  features: Tensor | Rows | ResidentBank,
  { normalized, slab }: { readonly normalized: boolean; readonly slab: number | undefined },
): Promise<ResidentBank | Embeddings | Rows> {
  if (features instanceof ResidentBank) return features
  return 'gpu' in features && slab === undefined && dim(features.shape, 0) <= MOST_ROWS
    ? bankOf('nearest', gpu, features, { normalized })
    : onHost('nearest', 'features', features)
}

/** Throws RangeError, whose message begins with `owner`, unless k and slab are whole numbers from 1
 *  on and chunk is at least 1. */
export function checkCounts(
  owner: string,
  {
    chunk,
    ...counts
  }: { readonly k: number; readonly slab: number | undefined; readonly chunk: number },
) {
  for (const [name, value] of Object.entries(counts))
    if ((name === 'k' || value !== undefined) && !(Number.isInteger(value) && Number(value) >= 1))
      throw new RangeError(
        `${owner}: ${name} must be a whole number from 1, got ${describe(value)}`,
      )
  if (!(typeof chunk === 'number' && chunk >= 1))
    throw new RangeError(`${owner}: chunk must be at least 1, got ${describe(chunk)}`)
}

/** Returns the Gpu of the features or of the queries, else the given one. Throws Error when there
 *  is none. */
export function gpuOf(
  owner: string,
  features: Tensor | Rows | ResidentBank,
  queries: Tensor | FeatureRows,
  given: Gpu | undefined,
): Gpu {
  const machine = 'gpu' in features ? features.gpu : 'gpu' in queries ? queries.gpu : given
  if (machine instanceof Gpu) return machine
  throw new Error(
    machine
      ? `${owner}: features must be a tensor of a Gpu`
      : `${owner}: features and queries lie on the host; pass the Gpu to compute on as options.gpu`,
  )
}

/** Reads a tensor to the host, and converts rows to f32. Returns rows in parts as they are. Throws
 *  like `hostRows`. */
export function onHost(owner: string, what: string, rows: Tensor | FeatureRows): Promise<Embeddings>
export function onHost(owner: string, what: string, rows: Tensor | Rows): Promise<Embeddings | Rows>
export async function onHost(
  owner: string,
  what: string,
  rows: Tensor | Rows,
): Promise<Embeddings | Rows> {
  if (!('gpu' in rows)) return 'features' in rows ? hostRows(owner, what, rows) : rows
  const [M, D] = matrix(rows.shape, `${owner}: features and queries`)
  if (!(rows.gpu instanceof Gpu)) throw new Error(`${owner}: features must be a tensor of a Gpu`)
  return { features: await rows.gpu.read(rows), M: dim([M], 0), D }
}

/** Sorts each query's neighbours, the nearest first. */
function sorted({ similarities, indices, k }: Lists, Q: number): Nearest {
  const bits = new Uint32Array(similarities.buffer)
  const ranked = { indices: new Uint32Array(Q * k), similarities: new Float32Array(Q * k), k }
  const key = (i: number) => keyOf(bits[i] ?? 0)
  for (let start = 0; start < Q * k; start += k) {
    const order = Array.from({ length: k }, (_, j) => start + j).sort(
      (a, b) => key(b) - key(a) || (indices[a] ?? 0) - (indices[b] ?? 0),
    )
    for (const [j, i] of order.entries()) {
      ranked.indices[start + j] = indices[i] ?? 0
      ranked.similarities[start + j] = similarities[i] ?? NaN
    }
  }
  return ranked
}
