// Finds the nearest features for many callers at a time: a bank that stays on the GPU, and a queue
// before it.

import {
  type Rules,
  callback,
  checkOptions,
  checkValue,
  count,
  flag,
  needed,
} from '../kernels/options.ts'
import { ShapeError } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type ResidentBank, residentBank } from '../evaluate/bank.ts'
import { type Nearest, nearest } from '../evaluate/nearest.ts'
import { type Embeddings, type FeatureRows, checkFinite, hostRows } from '../evaluate/slabs.ts'
import type { Open } from './device.ts'
import {
  type RequestOptions,
  type ServiceLimits,
  limitRules,
  limitsOf,
  requestRules,
} from './limits.ts'
import { ServiceFront } from './service-front.ts'
import { Service } from './service.ts'

/** Options of `openSearcher`. */
export interface SearcherOptions extends ServiceLimits {
  /** Opens the Gpu: once at the beginning, and once after each loss of its device. The searcher
   *  destroys it. */
  readonly open: Open
  /** True when all rows have unit length already; false by default. */
  readonly normalized?: boolean
}

const rules: Rules<SearcherOptions> = { open: needed(callback), normalized: flag, ...limitRules }

/** A query [D], and the number of its neighbours. */
interface Query {
  readonly row: Float32Array
  readonly k: number
}

/** The neighbours of one query. */
interface Neighbours {
  readonly indices: Uint32Array
  readonly similarities: Float32Array
}

/** Searches a bank in batches of queries on a Gpu. Made by `openSearcher`. */
export class Searcher extends ServiceFront<Query, Neighbours, ResidentBank> {
  /** Number of features, and numbers of each. */
  readonly M: number
  readonly D: number

  /** Use `openSearcher`, which checks the features and opens the device too. */
  constructor(bank: Embeddings, { open, normalized = false, ...limits }: SearcherOptions) {
    const plan = {
      owner: 'searcher',
      items: 'queries',
      open,
      make: (gpu: Gpu) => residentBank(gpu, bank, { normalized }),
      compute: (on: ResidentBank, queries: readonly Query[]) => found(on, queries, normalized),
    }
    super(new Service(plan, limitsOf('openSearcher', limits)))
    this.M = bank.M
    this.D = bank.D
  }

  /** Opens the device and uploads the bank. Throws what opening throws. */
  open(): Promise<void> {
    return this.service.open()
  }

  /** Finds the k features that are nearest to each of the queries [Q, D] by cosine, like `nearest`.
   *  Queries of different requests share batches. Throws ShapeError, TypeError, Error for queries
   *  that are not finite, RangeError for more queries than the queue holds, QueueFullError,
   *  ClosedError, and the signal's reason when it aborts. */
  async nearest(queries: FeatureRows, k: number, given: RequestOptions = {}): Promise<Nearest> {
    const options = checkOptions('searcher', given, requestRules)
    checkValue('searcher', 'k', k, count)
    const { features, M, D } = hostRows('searcher', 'queries', queries)
    if (D !== this.D || M === 0)
      throw new ShapeError(
        `searcher: queries must be [Q, ${this.D}] with Q at least 1, got [${M}, ${D}]`,
      )
    checkFinite('searcher', features)
    const rows = Array.from({ length: M }, (_, q) => features.slice(q * D, (q + 1) * D))
    const items = rows.map((row): Query => ({ row, k: Math.min(k, this.M) }))
    const lists = await this.service.request(M, () => Promise.resolve({ items, kind: '' }), options)
    const width = Math.min(k, this.M)
    const all = {
      indices: new Uint32Array(M * width),
      similarities: new Float32Array(M * width),
      k: width,
    }
    for (const [q, { indices, similarities }] of lists.entries()) {
      all.indices.set(indices, q * width)
      all.similarities.set(similarities, q * width)
    }
    return all
  }
}

/** Searches for a batch: for as many neighbours as the query with the most wants. Neighbours come
 *  in order, so the others get the first of theirs. */
async function found(
  bank: ResidentBank,
  queries: readonly Query[],
  normalized: boolean,
): Promise<readonly Neighbours[]> {
  const features = new Float32Array(queries.length * bank.D)
  for (const [q, { row }] of queries.entries()) features.set(row, q * bank.D)
  const most = queries.reduce((a, { k }) => Math.max(a, k), 1)
  const asked = { features, M: queries.length, D: bank.D }
  const { indices, similarities, k: width } = await nearest(bank, asked, most, { normalized })
  return queries.map(({ k }, q) => ({
    indices: indices.slice(q * width, q * width + k),
    similarities: similarities.slice(q * width, q * width + k),
  }))
}

/** Opens a searcher over features [M, D] on the host, which must stay as they are: they are
 *  uploaded again when a device is lost. Throws TypeError, RangeError, ShapeError, Error for
 *  features that are not finite, and what opening throws. */
export async function openSearcher(
  features: FeatureRows,
  options: SearcherOptions,
): Promise<Searcher> {
  const checked = checkOptions('openSearcher', options ?? {}, rules)
  const bank = hostRows('openSearcher', 'features', features)
  if (bank.M === 0)
    throw new RangeError('openSearcher: features must have at least one row, got none')
  const made = new Searcher(bank, checked)
  await made.open()
  return made
}
