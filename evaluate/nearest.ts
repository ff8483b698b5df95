// The nearest neighbours of features, with their similarities.

import { type Tensor, dim, matrix } from '../kernels/op.ts'
import { anything, checkOptions, describe, flag, onGpu } from '../kernels/options.ts'
import { Gpu } from '../engine/gpu.ts'

import type { Embeddings } from './embed.ts'
import { type Lists, type Rows, CHUNK, keyOf, search } from './search.ts'
import { type FeatureRows, checkFeatures, hostRows } from './slabs.ts'

export interface NearestOptions {
  /** True when the rows of features and queries have unit length already. */
  readonly normalized?: boolean
  /** Similarities made at a time, of 4 bytes each, though never fewer than one query's; 2^24 unless
   *  told. */
  readonly chunk?: number
  /** Features bound at a time; as many as the device binds, up to 128 MiB of them, unless told. The
   *  result is the same. */
  readonly slab?: number
  /** What to compute on, where neither features nor queries are a tensor. */
  readonly gpu?: Gpu
}

/** What these options must be; `checkCounts` checks the counts. */
export const nearestRules = { normalized: flag, chunk: anything, slab: anything, gpu: onGpu }

export interface Nearest {
  /** [Q, k], places in features; nearest first, of equally near ones the lowest first. */
  readonly indices: Uint32Array
  /** [Q, k], cosines. */
  readonly similarities: Float32Array
  /** How many neighbours each query has: k, or the number of features when there are fewer. */
  readonly k: number
}

/** The k features [M, D] nearest to each of queries [Q, D] by cosine. Both may lie on the GPU or on
 *  the host, and features may come in parts (`embedSlabs`), of which one is held at a time. Runs
 *  steps of its own. Throws ShapeError, RangeError for k, chunk or slab out of range, and Error for
 *  features that are not finite or where there is no Gpu. */
export async function nearest(
  features: Tensor | Rows,
  queries: Tensor | FeatureRows,
  k: number,
  options: NearestOptions = {},
): Promise<Nearest> {
  const {
    normalized = false,
    chunk = CHUNK,
    slab,
    gpu,
  } = checkOptions('nearest', options, nearestRules)
  checkFeatures('nearest', features, queries)
  checkCounts('nearest', { k, slab, chunk })
  const on = gpuOf('nearest', features, queries, gpu)
  const reading = [
    onHost('nearest', 'features', features),
    onHost('nearest', 'queries', queries),
  ] as const
  const [bank, asked] = await Promise.all(reading)
  const lists = await search(on, bank, asked, { owner: 'nearest', k, normalized, chunk, slab })
  if (lists.M === 0) throw new RangeError('nearest: features must have a row at least, got none')
  return sorted(lists, asked.M)
}

/** Throws RangeError, in the name of `owner`, for numbers that cannot be meant so. */
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

/** The Gpu that one of them lies on, or else the one given. Throws Error where there is none. */
export function gpuOf(
  owner: string,
  features: Tensor | Rows,
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

/** Rows on the host, as f32; parts as they are. Throws like `hostRows`. */
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

/** The nearest first. */
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
