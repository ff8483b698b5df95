// Finds the nearest rows in a set of any size. It goes through the set slab by slab and keeps a
// list of the k largest similarities of each query.

import { unlessAborted, untilAborted } from '../kernels/abort.ts'
import { type Tensor, ShapeError, dim } from '../kernels/op.ts'
import { l2Normalize } from '../kernels/reduce/l2-normalize.ts'
import { nearestRows } from '../kernels/knn/nearest-rows.ts'
import type { Gpu } from '../engine/gpu.ts'
import { ResidentBank, placesOf } from './bank.ts'
import type { Embeddings } from './embed.ts'
import type { Followed } from './followed.ts'
import { type Rows, checkFinite, hostRows, slabRows, slabsOf } from './slabs.ts'

export const CHUNK = 16 * 2 ** 20 // similarities at a time: 64 MiB

/** The nearest rows of each query, in no order. */
export interface Lists {
  /** [Q, k] */
  readonly similarities: Float32Array
  /** [Q, k], indices in the whole set. */
  readonly indices: Uint32Array
  /** Length of each list, at most M. */
  readonly k: number
  /** Number of rows that were searched. */
  readonly M: number
}

/** Options of `search`. */
export interface SearchOptions extends Followed {
  readonly owner: string
  readonly k: number
  readonly normalized: boolean
  readonly chunk: number
  /** Most rows of a slab; by default as many as the device binds at once. */
  readonly slab: number | undefined
  readonly signal: AbortSignal | undefined
  /** Number of rows of the whole set, if known. */
  readonly size?: number
}

/** Finds the k rows of `bank` nearest to each of `queries`: the same bits for slabs of any size. Of
 *  equally near rows it takes the first. A NaN counts as nearer than any number. Holds one part of
 *  the bank at a time, and runs a step for each slab. Throws ShapeError, and Error when a
 *  similarity, or with `normalized` a feature, is not finite. */
export async function search(
  gpu: Gpu,
  bank: Rows | ResidentBank,
  queries: Embeddings,
  options: SearchOptions,
): Promise<Lists> {
  const { owner, k, slab, normalized, signal, onProgress } = options
  const { size = 'M' in bank ? bank.M : Infinity } = options
  if (normalized) checkFinite(owner, queries.features)
  const isBank = bank instanceof ResidentBank
  const most = isBank ? dim(bank.slabs[0]?.rows.shape ?? [], 0) : (slab ?? slabRows(gpu, queries.D))
  let done = 0
  const compared = (pairs: number) => {
    done += pairs
    if (!signal?.aborted) onProgress?.({ done, total: size * queries.M })
  }
  let lists: Lists = { similarities: new Float32Array(0), indices: new Uint32Array(0), k: 0, M: 0 }
  for await (const part of slabsIn(gpu, bank, queries, { owner, normalized, most, signal })) {
    signal?.throwIfAborted()
    const how = { ...options, unsplit: size > most, compared }
    const searching = searchSlab(gpu, part, queries, how)
    const found = await unlessAborted(signal, searching)
    lists = merged(lists, found, queries.M, k)
  }
  checkFinite(owner, lists.similarities)
  return lists
}

/** Some rows of the set, as many as the device binds. Both functions are called in a step. */
interface Slab {
  readonly M: number
  /** Returns the rows [M, D], of unit length. */
  readonly rows: () => Tensor
  /** Returns 0, 1, ... M - 1. */
  readonly places: () => Tensor
}

interface Division {
  readonly owner: string
  readonly normalized: boolean
  /** Most rows of a slab. */
  readonly most: number
  readonly signal: AbortSignal | undefined
}

/** Yields the slabs of a set, in order. Throws as `search` does. */
async function* slabsIn(
  gpu: Gpu,
  bank: Rows | ResidentBank,
  queries: Embeddings,
  { owner, normalized, most, signal }: Division,
): AsyncGenerator<Slab> {
  if (bank instanceof ResidentBank) {
    checkWidths(owner, bank, queries)
    for (const { rows, places } of bank.slabs)
      yield { M: dim(rows.shape, 0), rows: () => rows, places: () => places }
    return
  }
  const unit = normalized ? (x: Tensor) => x : l2Normalize
  for await (const given of untilAborted(signal, 'features' in bank ? [bank] : bank)) {
    const part = hostRows(owner, 'features', given)
    if (normalized) checkFinite(owner, part.features) // -Infinity may be in no list
    checkWidths(owner, part, queries)
    const { D, features } = part
    for (const [start, end] of slabsOf(part.M, most)) {
      const M = end - start
      const own = features.subarray(start * D, end * D)
      yield {
        M,
        rows: () => unit(gpu.tensor(own, [M, D])),
        places: () => placesOf(gpu, M),
      }
    }
  }
}

type Size = Pick<Embeddings, 'M' | 'D'>

function checkWidths(owner: string, bank: Size, queries: Size) {
  if (bank.D !== queries.D)
    throw new ShapeError(
      `${owner}: features [M, D] and queries [Q, D] must agree in D, got [${bank.M}, ${bank.D}] and [${queries.M}, ${queries.D}]`,
    )
}

interface SlabOptions extends SearchOptions {
  readonly unsplit: boolean
  /** Told how many pairs of a row and a query have been compared since it was called last. */
  readonly compared: (pairs: number) => void
}

/** Finds the nearest rows of one slab. Their indices count from the slab's first row. */
async function searchSlab(
  gpu: Gpu,
  { M, ...slab }: Slab,
  queries: Embeddings,
  { k: wanted, normalized, chunk, unsplit, compared }: SlabOptions,
): Promise<Lists> {
  const k = Math.min(wanted, M)
  const { D } = queries
  const unit = normalized ? (x: Tensor) => x : l2Normalize
  const most = Math.max(1, Math.min(65535, Math.floor(chunk / M)))
  const starts = Array.from({ length: Math.ceil(queries.M / most) }, (_, i) => i * most)
  const readings: Promise<Reading>[] = []
  gpu.step(() =>
    gpu.noGrad(() => {
      const [rows, places] = [slab.rows(), slab.places()]
      gpu.fold(starts, [], (_, start) => {
        const n = Math.min(most, queries.M - start)
        const x = gpu.tensor(queries.features.subarray(start * D, (start + n) * D), [n, D])
        const chosen = { start: 0, end: n, k, unsplit }
        const reading = read(gpu, start, nearestRows(unit(x), rows, places, chosen))
        reading.catch(() => undefined) // thrown below; without this, Node may report it before
        readings.push(reading)
        return []
      })
    }),
  )
  const similarities = new Float32Array(queries.M * k)
  const indices = new Uint32Array(queries.M * k)
  for (const reading of readings) {
    const [start, s, found] = await reading
    similarities.set(s, start * k)
    indices.set(found, start * k)
    compared((found.length / k) * M)
  }
  return { similarities, indices, k, M }
}

/** The first query of a chunk, and its lists: similarities and indices. */
type Reading = readonly [start: number, similarities: Float32Array, places: Float32Array]

/** Reads the lists of a chunk of queries. */
async function read(
  gpu: Gpu,
  start: number,
  { similarities, tags }: ReturnType<typeof nearestRows>,
): Promise<Reading> {
  const [s, places] = await Promise.all([gpu.read(similarities), gpu.read(tags)])
  return [start, s, places]
}

/** Merges the lists of all rows so far with those of the next slab. */
function merged(before: Lists, slab: Lists, Q: number, wanted: number): Lists {
  if (before.M === 0) return slab
  const k = Math.min(wanted, before.k + slab.k)
  const similarities = new Float32Array(Q * k)
  const indices = new Uint32Array(Q * k)
  const both = new Float32Array(before.k + slab.k)
  const places = new Uint32Array(before.k + slab.k)
  for (let q = 0; q < Q; q++) {
    both.set(before.similarities.subarray(q * before.k, (q + 1) * before.k))
    both.set(slab.similarities.subarray(q * slab.k, (q + 1) * slab.k), before.k)
    places.set(before.indices.subarray(q * before.k, (q + 1) * before.k))
    for (let j = 0; j < slab.k; j++)
      places[before.k + j] = before.M + (slab.indices[q * slab.k + j] ?? 0)
    let at = q * k
    for (const j of largest(both, places, k)) {
      similarities[at] = both[j] ?? NaN
      indices[at++] = places[j] ?? 0
    }
  }
  return { similarities, indices, k, M: before.M + slab.M }
}

/** Returns the positions of the k largest values. Of equal values it takes those with the lowest
 *  `places`. NaN counts as larger than any number. */
function largest(values: Float32Array<ArrayBuffer>, places: Uint32Array, k: number): number[] {
  const keys = Uint32Array.from(new Uint32Array(values.buffer), keyOf)
  const least = Uint32Array.from(keys).sort()[keys.length - k] ?? 0
  const taken: number[] = []
  const ties: number[] = []
  for (const [j, key] of keys.entries()) {
    if (key > least) taken.push(j)
    else if (key === least) ties.push(j)
  }
  const left = k - taken.length
  if (ties.length > left) ties.sort((a, b) => (places[a] ?? 0) - (places[b] ?? 0))
  return [...taken, ...ties.slice(0, left)]
}

/** Maps the bits of an f32 to a whole number that orders like the kernel: -0 equals 0, and a NaN is
 *  above infinity. */
export function keyOf(bits: number): number {
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return 0xff800001
  return bits === magnitude ? 0x80000000 + magnitude : 0x80000000 - magnitude
}
