// Measuring which of several ways to compute the same bits is the fastest on a device. Kernels ask
// through `Run.race`; a way is measured only when `tune` is called, so that nothing changes while a
// run goes on, and as all ways give the same bits, what was measured never changes a result: runs
// are the same, and resume exactly, with or without it.

import { quiet } from './errors.ts'
import { USAGE } from './memory.ts'

const REPEATS = 8 // of each way, after one that compiles and warms it
const MOST_STAMPS = 4096 // WebGPU's limit for a query set
const BETTER = 0.97 // a way must take less than this of the guess's time to be taken instead

/** The fastest way by what was raced: `<kernel and sizes>` -> number of the way. */
export type Ways = Record<string, number>

interface Race {
  readonly name: string
  readonly ways: number
  readonly guess: number
  /** The first of its time stamps: one before and one after each way. */
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
  /** Called with everything known when something was learned. */
  onLearned: (ways: Ways) => Promise<void> | void = () => {}

  /** `flush` submits what was dispatched; `scratch` runs a body and takes back the memory of
   *  what it made; `explain` throws why a wait failed. */
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

  /** Takes over what was measured on such a device before. */
  learn(ways: Ways) {
    for (const [name, way] of Object.entries(ways)) this.#ways.set(name, way)
  }

  /** What is known, in order of name. */
  get ways(): Ways {
    return Object.fromEntries([...this.#ways].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  /** Whether a body is run in which races are measured. */
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

  /** Runs `body`, a training step or a part of one, and measures what is raced in it and not
   *  known yet: every kernel of it that has a choice then runs nine times in every way. Without
   *  the WebGPU feature 'timestamp-query' nothing is measured. Throws what `body` throws, and
   *  DeviceLostError. */
  tune(body: () => void): Promise<void> {
    return quiet(this.#tune(body))
  }

  async #tune(body: () => void): Promise<void> {
    this.#flush() // throws once the Gpu is gone
    if (!this.#device.features.has('timestamp-query')) return body()
    const stamps = this.#device.createQuerySet({ type: 'timestamp', count: MOST_STAMPS })
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
    if (this.#next + 2 * ways > MOST_STAMPS) return
    this.#races.push({ name, ways, guess, first: this.#next })
    for (let way = 0; way < ways; way++) {
      const once = () => this.#scratch(() => compute(way))
      once()
      this.#stamp()
      for (let i = 0; i < REPEATS; i++) once()
      this.#stamp()
    }
  }

  /** Notes the time at which everything dispatched so far is done: the end of an empty pass. */
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
