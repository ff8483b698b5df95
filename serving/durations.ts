// The newest durations of a service, for their percentiles.

/** Percentiles of durations in milliseconds; null before the first. */
export interface Percentiles {
  readonly p50: number | null
  readonly p95: number | null
  readonly p99: number | null
  readonly max: number | null
}

/** Keeps the newest durations, a fixed number of them. */
export class Durations {
  readonly #kept: Float64Array
  #count = 0

  /** Keeps at most `most` durations. */
  constructor(most: number) {
    this.#kept = new Float64Array(most)
  }

  /** Adds a duration in milliseconds, in place of the oldest. */
  add(duration: number) {
    this.#kept[this.#count++ % this.#kept.length] = duration
  }

  /** Returns the percentiles by nearest rank: the least duration that at least p percent do not
   *  exceed. */
  percentiles(): Percentiles {
    const sorted = this.#kept.slice(0, Math.min(this.#count, this.#kept.length)).sort()
    const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) }
  }
}
