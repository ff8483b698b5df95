// Times dispatches by timestamps, each in a compute pass of its own.

import type { Commands } from '../commands.ts'
import type { Timer } from '../encode.ts'

const MOST = 4096 // timestamps of one query set
const BYTES = 8 // of a timestamp
// of GPUBufferUsage and GPUMapMode, which Node has no globals for
const [MAP_READ, COPY_SRC, COPY_DST, QUERY_RESOLVE, READ] = [0x1, 0x4, 0x8, 0x200, 0x1]

/** Timestamps of the passes of one run, two for each. */
export class Stamps implements Timer {
  /** The kernels of the passes, in order. */
  readonly kernels: string[] = []
  readonly #device: GPUDevice
  readonly #hasTimes: boolean
  readonly #sets: GPUQuerySet[] = []

  constructor({ device }: Commands) {
    this.#device = device
    this.#hasTimes = device.features.has('timestamp-query')
  }

  pass(kernel: string): GPUComputePassTimestampWrites | undefined {
    const index = (2 * this.kernels.length) % MOST
    this.kernels.push(kernel)
    if (!this.#hasTimes) return undefined
    if (index === 0)
      this.#sets.push(this.#device.createQuerySet({ type: 'timestamp', count: MOST }))
    const querySet = this.#sets.at(-1)
    if (!querySet) return undefined
    return { querySet, beginningOfPassWriteIndex: index, endOfPassWriteIndex: index + 1 }
  }

  /** Reads when each pass began and ended, in nanoseconds; null without the feature
   *  timestamp-query. All passes must have been submitted. */
  async read(): Promise<readonly (readonly [begin: bigint, end: bigint])[] | null> {
    if (!this.#hasTimes) return null
    const parts: BigUint64Array[] = []
    for (const set of this.#sets) parts.push(await this.#resolved(set))
    return this.kernels.map((_, i) => {
      const [set, at] = [parts[Math.floor((2 * i) / MOST)], (2 * i) % MOST]
      return [set?.[at] ?? 0n, set?.[at + 1] ?? 0n] as const
    })
  }

  /** Frees the query sets. */
  free() {
    for (const set of this.#sets) set.destroy()
  }

  async #resolved(set: GPUQuerySet): Promise<BigUint64Array> {
    const device = this.#device
    const size = MOST * BYTES
    const resolved = device.createBuffer({ size, usage: QUERY_RESOLVE | COPY_SRC })
    const staging = device.createBuffer({ size, usage: MAP_READ | COPY_DST })
    const encoder = device.createCommandEncoder()
    encoder.resolveQuerySet(set, 0, MOST, resolved, 0)
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, size)
    device.queue.submit([encoder.finish()])
    try {
      await staging.mapAsync(READ)
      return new BigUint64Array(staging.getMappedRange().slice(0))
    } finally {
      resolved.destroy()
      staging.destroy()
    }
  }
}
