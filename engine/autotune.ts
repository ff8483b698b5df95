// Measures which of several ways to compute the same bits is the fastest on a device. Kernels
// choose through `Run.race`. Ways are measured only when `tune` is called, so that nothing changes
// during a run. All ways give the same bits, so measuring never changes a result: a run is the
// same, and resumes exactly, with or without it.

import { quiet } from './errors.ts'
import { USAGE } from './memory.ts'

const REPEATS = 8 // of each way, after one that compiles and warms it
const MAX_STAMPS = 4096 // WebGPU's limit for a query set
const BETTER = 0.97 // a way replaces the guess if it takes less than this share of its time

/** The number of the fastest way by the name of its race, `<kernel and sizes>`. */
export type Ways = Record<string, number>

interface Race {
  readonly name: string
  readonly ways: number
  readonly guess: number
  /** The index of its first time stamp; each way has one before it and one after. */
  readonly first: number
}

/** The races of one device. */
export class Tuner {
  readonly #device: GPUDevice
  readonly #flush: () => void
  readonly #scratch: (body: () => unknown) => void
  readonly #explain: (cause: unknown) => Promise<never>
  readonly #ways = new Map<string, number>()
  #stamps: GPUQuerySet | null = null
  #races: Race[] = []
  #next = 0
  /** Called with all that is known when something was measured. */
  onLearned: (ways: Ways) => Promise<void> | void = () => {}

  /** `flush` submits all dispatches at once; `scratch` runs a body and frees the tensors that it
   *  made;
   *  `explain` throws the reason why a wait failed. */
  constructor(
    device: GPUDevice,
    flush: () => void,
    scratch: (body: () => unknown) => void,
    explain: (cause: unknown) => Promise<never>,
  ) {
    this.#explain = explain
    this.#device = device
    this.#flush = flush
    this.#scratch = scratch
  }

  /** Adds results that were measured on such a device before. */
  learn(ways: Ways) {
    for (const [name, way] of Object.entries(ways)) this.#ways.set(name, way)
  }

  /** All known results, in order of name. */
  get ways(): Ways {
    return Object.fromEntries([...this.#ways].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** True while `tune` runs a body. */
  get isMeasuring(): boolean {
    return this.#stamps !== null
  }

  race = <T>(name: string, ways: number, guess: number, compute: (way: number) => T): T => {
    const known = this.#ways.get(name)
    if (known !== undefined && known < ways) return compute(known)
    if (this.#stamps && ways > 1 && !this.#races.some((r) => r.name === name))
      this.#measure(name, ways, guess, compute)
    return compute(guess)
  }

  /** Runs `body`, a training step or a part of one, and measures its races that are not known yet:
   *  every kernel with a choice runs nine times in every way. Measures nothing without the WebGPU
   *  feature 'timestamp-query'. Throws the errors of `body`, and DeviceLostError. */
  tune(body: () => void): Promise<void> {
    return quiet(this.#tune(body))
  }

  async #tune(body: () => void): Promise<void> {
    this.#flush() // throws if the Gpu was lost or destroyed
    if (!this.#device.features.has('timestamp-query')) return body()
    const stamps = this.#device.createQuerySet({ type: 'timestamp', count: MAX_STAMPS })
    this.#stamps = stamps
    this.#races = []
    this.#next = 0
    try {
      body()
      this.#flush()
      if (this.#next === 0) return
      this.#decide(await this.#read(stamps))
      await this.onLearned(this.ways)
    } finally {
      this.#stamps = null
      stamps.destroy()
    }
  }

  #measure(name: string, ways: number, guess: number, compute: (way: number) => unknown) {
    if (this.#next + 2 * ways > MAX_STAMPS) return
    this.#races.push({ name, ways, guess, first: this.#next })
    for (let way = 0; way < ways; way++) {
      const once = () => this.#scratch(() => compute(way))
      once()
      this.#stamp()
      for (let i = 0; i < REPEATS; i++) once()
      this.#stamp()
    }
  }

  /** Stamps the time at which all dispatches so far are done: the end of an empty pass. */
  #stamp() {
    if (!this.#stamps) return
    this.#flush()
    const encoder = this.#device.createCommandEncoder({ label: 'kindred stamp' })
    const timestampWrites = { querySet: this.#stamps, endOfPassWriteIndex: this.#next++ }
    encoder.beginComputePass({ label: 'kindred stamp', timestampWrites }).end()
    this.#device.queue.submit([encoder.finish()])
  }

  async #read(stamps: GPUQuerySet): Promise<BigUint64Array> {
    const size = this.#next * 8
    const resolved = this.#device.createBuffer({ size, usage: QUERY_RESOLVE | USAGE.COPY_SRC })
    const staging = this.#device.createBuffer({ size, usage: USAGE.MAP_READ | USAGE.COPY_DST })
    try {
      const encoder = this.#device.createCommandEncoder({ label: 'kindred stamps' })
      encoder.resolveQuerySet(stamps, 0, this.#next, resolved, 0)
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, size)
      this.#device.queue.submit([encoder.finish()])
      await staging.mapAsync(0x1).catch(this.#explain) // GPUMapMode.READ
      return new BigUint64Array(staging.getMappedRange().slice(0))
    } finally {
      resolved.destroy()
      staging.destroy()
    }
  }

  #decide(stamps: BigUint64Array) {
    for (const { name, ways, guess, first } of this.#races) {
      const times = Array.from({ length: ways }, (_, way) => {
        const [begin = 0n, end = 0n] = stamps.subarray(first + 2 * way, first + 2 * way + 2)
        return Number(end - begin)
      })
      const best = times.indexOf(Math.min(...times))
      this.#ways.set(name, (times[best] ?? 0) < BETTER * (times[guess] ?? 0) ? best : guess)
    }
  }
}

const QUERY_RESOLVE = 0x200 // a buffer usage: WebGPU's globals exist in browsers but not in Node
