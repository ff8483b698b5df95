// A service on a GPU: it takes requests of one or more items, computes these in batches, survives
// lost devices, and is closed when what it has taken is done.

import { ClosedError, QueueFullError } from './errors.ts'
import { Admission } from './admission.ts'
import { Batcher } from './batcher.ts'
import { type MakeOn, type Open, Device } from './device.ts'
import { type Percentiles, Durations } from './durations.ts'
import type { Limits, RequestOptions } from './limits.ts'
import { onAbort } from './on-abort.ts'
import type { Gpu } from '../engine/gpu.ts'

const KEPT = 1024 // durations of requests, for percentiles

/** What a service does. */
export interface ServicePlan<Item, Result, On> {
  /** Begins its messages. */
  readonly owner: string
  /** Name of several items in messages. */
  readonly items: string
  readonly open: Open
  /** Makes what is needed on a Gpu. */
  readonly make: MakeOn<On>
  /** Computes a batch of items of one kind: a result for each. */
  readonly compute: (on: On, batch: readonly Item[], kind: string) => Promise<readonly Result[]>
}

/** The items of a request. Those of one `kind` may share a batch. */
export interface ServiceItems<Item> {
  readonly items: readonly Item[]
  readonly kind: string
}

/** Counts and durations of a service since it was opened. */
export interface ServiceStats {
  /** Items that are inside now: being prepared, waiting, or computed. */
  readonly inside: number
  /** Items of requests that wait outside, until there is room. */
  readonly outside: number
  /** Items that wait for a batch. */
  readonly waiting: number
  /** Requests that were answered, and their items. */
  readonly answered: number
  readonly items: number
  /** Requests that were refused because the queue was full, given up by their signal, or failed. */
  readonly refused: number
  readonly aborted: number
  readonly failed: number
  /** Batches, and items per batch on average; null before the first. */
  readonly batches: number
  readonly meanBatch: number | null
  /** Devices that were lost, and batches that were computed again. */
  readonly losses: number
  readonly retried: number
  /** Milliseconds from a request to its answer, for the newest 1,024. */
  readonly latency: Percentiles
  /** Milliseconds of a batch, for the newest 1,024. */
  readonly batchTime: Percentiles
}

/** Computes items in batches on a Gpu. */
export class Service<Item, Result, On> {
  readonly #plan: ServicePlan<Item, Result, On>
  readonly #limits: Limits
  readonly #door: Admission
  readonly #batcher: Batcher<Item, Result>
  readonly #device: Device<On>
  readonly #counts = { answered: 0, items: 0, refused: 0, aborted: 0, failed: 0 }
  readonly #batches = { count: 0, items: 0 }
  readonly #latency = new Durations(KEPT)
  readonly #batchTime = new Durations(KEPT)
  #closing: Promise<void> | null = null
  #onEmpty: (() => void) | null = null

  constructor(plan: ServicePlan<Item, Result, On>, limits: Limits) {
    this.#plan = plan
    this.#limits = limits
    const { owner, items, open, make } = plan
    this.#door = new Admission(owner, items, limits.queue)
    this.#device = new Device({ owner, open, make, retries: limits.retries })
    this.#batcher = new Batcher(limits, (batch, kind) => this.#compute(batch, kind))
  }

  /** Opens the device. Throws what opening throws. */
  open(): Promise<void> {
    return this.#device.open()
  }

  /** Returns the Gpu; null while there is none. */
  gpu(): Promise<Gpu | null> {
    return this.#device.gpu()
  }

  /** Runs work of the caller's own on the device, again on another one if it is lost. */
  async run<T>(work: (on: On) => Promise<T>): Promise<T> {
    this.#checkOpen()
    return this.#device.run(work)
  }

  /** Computes the `count` items that `prepare` returns. They enter before `prepare` is called, so
   *  that what it makes is within the limits. Throws ClosedError, QueueFullError, RangeError for
   *  more items than the queue holds, the signal's reason when it aborts, and what `prepare` and
   *  the computation throw. */
  async request(
    count: number,
    prepare: () => Promise<ServiceItems<Item>>,
    { signal, whenFull = this.#limits.whenFull }: RequestOptions = {},
  ): Promise<readonly Result[]> {
    const began = performance.now()
    try {
      this.#checkOpen()
      await this.#door.enter(count, whenFull, signal)
      const results = await abortable(this.#inside(count, prepare, signal), signal)
      this.#counts.answered++
      this.#counts.items += count
      this.#latency.add(performance.now() - began)
      return results
    } catch (error) {
      this.#counts[fateOf(error, signal)]++
      throw error
    }
  }

  /** Returns counts and durations so far. */
  stats(): ServiceStats {
    const { count, items } = this.#batches
    return {
      inside: this.#door.inside,
      outside: this.#door.outside,
      waiting: this.#batcher.waiting,
      ...this.#counts,
      batches: count,
      meanBatch: count === 0 ? null : items / count,
      ...this.#device.counts,
      latency: this.#latency.percentiles(),
      batchTime: this.#batchTime.percentiles(),
    }
  }

  /** Refuses new requests, finishes those that were taken, and destroys the Gpu. */
  close(): Promise<void> {
    return (this.#closing ??= this.#end())
  }

  async #end() {
    this.#batcher.hurry()
    if (this.#door.inside > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve))
    await this.#device.close()
  }

  /** Prepares and computes items that have entered, and lets them out. */
  async #inside(
    count: number,
    prepare: () => Promise<ServiceItems<Item>>,
    signal: AbortSignal | undefined,
  ): Promise<readonly Result[]> {
    try {
      this.#batcher.expect(count)
      const { items, kind } = await prepare().finally(() => this.#batcher.expect(-count))
      return await Promise.all(items.map((item) => this.#batcher.add(item, kind, signal)))
    } finally {
      this.#door.leave(count)
      if (this.#door.inside === 0) this.#onEmpty?.()
    }
  }

  async #compute(batch: readonly Item[], kind: string): Promise<readonly Result[]> {
    const began = performance.now()
    const results = await this.#device.run((on) => this.#plan.compute(on, batch, kind))
    this.#batches.count++
    this.#batches.items += batch.length
    this.#batchTime.add(performance.now() - began)
    return results
  }

  #checkOpen() {
    if (this.#closing)
      throw new ClosedError(`${this.#plan.owner}: it was closed, and takes no more requests`)
  }
}

/** Settles as the promise does, or rejects as soon as the signal aborts. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal.reason as Error)
    if (signal.aborted) giveUp()
    const forget = onAbort(signal, giveUp)
    void promise.then(resolve, reject).finally(forget)
  })
}

/** Returns what became of a request that was not answered. */
function fateOf(error: unknown, signal: AbortSignal | undefined) {
  if (error instanceof QueueFullError || error instanceof ClosedError) return 'refused'
  return signal?.aborted ? 'aborted' : 'failed'
}
