// Waits for the GPU: for values to read, and for work to be done. Reads go through staging buffers.
// Small ones, such as those of losses, are reused in turn, so that a loss can be awaited while the
// next steps run.

import type { Commands } from './commands.ts'
import { quiet } from './errors.ts'
import { type Storage, USAGE } from './memory.ts'
import { wholeWords } from './values.ts'

const SMALL = 256 // bytes
const MAX_KEPT = 8 // small buffers

/** Reads from one device. */
export class Readback {
  readonly #commands: Commands
  readonly #onWait: () => () => void
  readonly #checking: () => () => Promise<void>
  readonly #free: GPUBuffer[] = []
  readonly #ahead: Promise<undefined>[] = [] // the work up to each call of `pace`
  #made = 0
  #isDestroyed = false

  /** `onWait` is called when waiting begins, and its result when it ends. `checking` returns a
   *  function that throws the first error of the work submitted before. */
  constructor(commands: Commands, onWait: () => () => void, checking: () => () => Promise<void>) {
    this.#commands = commands
    this.#onWait = onWait
    this.#checking = checking
  }

  /** How many buffers were created. */
  get made(): number {
    return this.#made
  }

  /** Reads the bytes of a storage, which may be freed meanwhile, and returns what `unpacked` makes
   *  of them. Submits all dispatches. */
  async read<T>(storage: Storage, unpacked: (memory: ArrayBuffer) => T): Promise<T> {
    const size = wholeWords(storage.bytes)
    const staging = this.#take(size)
    this.#commands.copyOut(storage, staging)
    this.#commands.flush()
    const check = this.#checking()
    const endWait = this.#onWait()
    try {
      await this.#inTurn(() => staging.mapAsync(0x1)) // GPUMapMode.READ
      await check()
      return unpacked(staging.getMappedRange(0, size))
    } catch (cause) {
      return await this.explain(cause, check)
    } finally {
      endWait()
      this.#give(staging)
    }
  }

  /** Waits until the GPU has finished all work but that of the last `most` calls. */
  async pace(most: number): Promise<void> {
    const { queue } = this.#commands.device
    this.#ahead.push(quiet(this.#inTurn(() => queue.onSubmittedWorkDone())))
    const check = this.#checking()
    const endWait = this.#onWait()
    try {
      while (this.#ahead.length > most) await this.#ahead.shift()
      await check()
    } catch (cause) {
      await this.explain(cause, check)
    } finally {
      endWait()
    }
  }

  /** Throws the reason why a wait failed: DeviceLostError, the error that `check` throws, or the
   *  cause. */
  async explain(cause: unknown, check = this.#checking()): Promise<never> {
    await check()
    const isAborted = cause instanceof Error && cause.name === 'AbortError'
    if (isAborted) await this.#commands.device.lost // mapping is aborted before `lost` resolves
    await check()
    throw cause
  }

  destroy() {
    this.#isDestroyed = true
    for (const buffer of this.#free.splice(0)) buffer.destroy()
  }

  /** Waits as `begin` says, once all work so far is submitted. */
  #inTurn(begin: () => Promise<undefined>): Promise<undefined> {
    return new Promise((resolve) => this.#commands.submissions.call(() => resolve(begin())))
  }

  #take(bytes: number): GPUBuffer {
    const kept = bytes <= SMALL ? this.#free.shift() : undefined
    if (kept) return kept
    this.#made++
    return this.#commands.device.createBuffer({
      label: 'kindred read',
      size: Math.max(SMALL, bytes),
      usage: USAGE.MAP_READ | USAGE.COPY_DST,
    })
  }

  #give(buffer: GPUBuffer) {
    const isKept = !this.#isDestroyed && buffer.size <= SMALL && this.#free.length < MAX_KEPT
    if (isKept && buffer.mapState === 'mapped') {
      buffer.unmap()
      this.#free.push(buffer)
    } else buffer.destroy()
  }
}
