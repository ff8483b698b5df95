// Collects items into batches. A batch begins
//   - as soon as `maxBatch` items of one kind wait, even while one batch is computed: at most two
//     are under way, so that the second one's upload overlaps with the first one's work;
//   - else when nothing is computed and the oldest item has waited for `maxWait`; ten times as long
//     while items are on their way (their files are being decoded); and a fifth of the last batch's
//     time while fewer wait than there were when that ended, whose callers will soon ask again;
//   - at once when the service is closing.
// So a busy service collects while it computes, and an idle one soon begins. Without the last wait,
// callers who each wait for their answer would fall into groups, and wait for each other's batches.

import type { Limits } from './limits.ts'
import { onAbort } from './on-abort.ts'

const UNDER_WAY = 2 // batches
const PATIENCE = 10 // times maxWait, for items on their way
const SHARE = 1 / 5 // of the last batch's time, for those whom it answered

interface Waiting<Item, Result> {
  readonly item: Item
  readonly kind: string
  readonly since: number
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

/** Computes a batch of items of one kind: a result for each. */
export type RunBatch<Item, Result> = (
  items: readonly Item[],
  kind: string,
) => Promise<readonly Result[]>

/** Collects items into batches, and runs these. */
export class Batcher<Item, Result> {
  readonly #limits: Pick<Limits, 'maxBatch' | 'maxWait'>
  readonly #run: RunBatch<Item, Result>
  #waiting: Waiting<Item, Result>[] = []
  #underWay = 0
  #coming = 0
  /** When the last batch ended: its time, and the number of items, those that came meanwhile
   *  included. */
  #last = { time: 0, items: 0 }
  #timer: ReturnType<typeof setTimeout> | null = null
  #isHurrying = false

  constructor(limits: Pick<Limits, 'maxBatch' | 'maxWait'>, run: RunBatch<Item, Result>) {
    this.#limits = limits
    this.#run = run
  }

  /** Number of items that wait for a batch. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Says that `count` items are on their way, or, if it is negative, that so many have been added
   *  or will not come. */
  expect(count: number) {
    this.#coming += count
    if (count < 0) this.#begin({ isTurn: false })
  }

  /** Adds an item. Only items of one `kind` share a batch. Rejects as the batch does, and with the
   *  signal's reason when it aborts: an item that waits is dropped, and one in a batch is computed
   *  for nobody. */
  add(item: Item, kind: string, signal?: AbortSignal): Promise<Result> {
    return new Promise((resolve, reject) => {
      const settle =
        <T>(act: (value: T) => void) =>
        (value: T) => {
          forget()
          act(value)
        }
      const one: Waiting<Item, Result> = {
        item,
        kind,
        since: performance.now(),
        resolve: settle(resolve),
        reject: settle(reject),
      }
      const forget = onAbort(signal, () => {
        this.#waiting = this.#waiting.filter((other) => other !== one)
        one.reject(signal?.reason)
      })
      if (signal?.aborted) return one.reject(signal.reason)
      this.#waiting.push(one)
      this.#begin({ isTurn: false })
    })
  }

  /** Begins batches from now on without waiting for more items. */
  hurry() {
    this.#isHurrying = true
    this.#begin()
  }

  /** Begins the batches that are due, and sets the timer for the next one. One that is not full
   *  begins only in a turn of its own, so that items added in one turn share it. */
  #begin({ isTurn = true } = {}) {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const next = () => this.#due(isTurn || this.#isHurrying)
    for (let batch = next(); batch.length > 0; batch = next()) void this.#compute(batch)
    const [oldest] = this.#waiting
    if (!oldest || this.#underWay > 0) return // the end of a batch begins the next
    const left = oldest.since + this.#patience() - performance.now()
    this.#timer = setTimeout(() => this.#begin(), Math.max(0, Math.ceil(left)))
  }

  /** Takes the items of a batch that is due; [] if none is. */
  #due(mayBePart: boolean): readonly Waiting<Item, Result>[] {
    const [oldest] = this.#waiting
    if (!oldest || this.#underWay === UNDER_WAY) return []
    const { maxBatch } = this.#limits
    const alike = this.#waiting.filter(({ kind }) => kind === oldest.kind)
    const batch = alike.slice(0, maxBatch)
    const isLate = this.#isHurrying || performance.now() - oldest.since >= this.#patience()
    const isDue = mayBePart && isLate && this.#underWay === 0
    if (batch.length < maxBatch && !isDue) return []
    const taken = new Set(batch)
    this.#waiting = this.#waiting.filter((one) => !taken.has(one))
    return batch
  }

  /** Returns how long the oldest item waits for others, in milliseconds. */
  #patience(): number {
    const { maxBatch, maxWait } = this.#limits
    const patience = maxWait * (this.#coming > 0 ? PATIENCE : 1)
    const { time, items } = this.#last
    const isMissing = this.#waiting.length < Math.min(items, maxBatch)
    return isMissing && maxWait > 0 ? Math.max(patience, SHARE * time) : patience
  }

  async #compute(batch: readonly Waiting<Item, Result>[]) {
    const began = performance.now()
    this.#underWay++
    try {
      const results = await this.#run(
        batch.map(({ item }) => item),
        batch[0]?.kind ?? '',
      )
      for (const [i, { resolve, reject }] of batch.entries()) {
        if (i < results.length) resolve(results[i] as Result) // it is there, perhaps undefined
        else reject(new Error(`a batch of ${batch.length} gave ${results.length} results`))
      }
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
    this.#underWay--
    const items = batch.length + this.#waiting.length + this.#coming
    this.#last = { time: performance.now() - began, items }
    this.#begin()
  }
}
