// What the CPU waits for: values that it reads, and work that the GPU has done. Reads come back
// through staging buffers, the small ones, such as those of losses, used in turn, so that a loss
// can be awaited while the next steps run.

import type { DType } from '../kernels/op.ts'
import type { Commands } from './commands.ts'
import { quiet } from './errors.ts'
import { type Storage, USAGE } from './memory.ts'
import { unpack, wholeWords } from './values.ts'

const SMALL = 256 // bytes
const MOST = 8 // small ones kept

/** Reads from one device. `onWait` is called when waiting begins, and what it returns when it
 *  ends. */
export class Readback {
  readonly #commands: Commands
  readonly #onWait: () => () => void
  readonly #checking: () => () => Promise<void>
  readonly #free: GPUBuffer[] = []
  readonly #ahead: Promise<undefined>[] = []
  #made = 0
  #isOver = false

  /** What `checking` returns throws what went wrong on the device with what was submitted
   *  before. */
  constructor(commands: Commands, onWait: () => () => void, checking: () => () => Promise<void>) {
    this.#commands = commands
    this.#onWait = onWait
    this.#checking = checking
  }

  /** How many buffers were created. */
  get made(): number {
    return this.#made
  }

  /** The first `count` numbers of a storage, which may be taken back while one waits. Submits what
   *  was dispatched. */
  async read(storage: Storage, dtype: DType, count: number): Promise<Float32Array> {
    const size = wholeWords(storage.bytes)
    const staging = this.#take(size)
    this.#commands.copyOut(storage, staging)
    this.#commands.flush()
    const check = this.#checking()
    const waited = this.#onWait()
    try {
      await staging.mapAsync(0x1) // GPUMapMode.READ
      await check()
      return unpack(staging.getMappedRange(0, size), dtype, count)
    } catch (cause) {
      return await this.explain(cause, check)
    } finally {
      waited()
      this.#give(staging)
    }
  }

  /** Waits until the GPU has done all but what was submitted since the last `most` calls. */
  async pace(most: number): Promise<void> {
    this.#ahead.push(quiet(this.#commands.device.queue.onSubmittedWorkDone()))
    const check = this.#checking()
    const waited = this.#onWait()
    try {
      while (this.#ahead.length > most) await this.#ahead.shift()
      await check()
    } catch (cause) {
      await this.explain(cause, check)
    } finally {
      waited()
    }
  }

  /** Throws why a wait failed: the device was lost, or what `check` says, else the cause. */
  async explain(cause: unknown, check = this.#checking()): Promise<never> {
    await check()
    const isAborted = cause instanceof Error && cause.name === 'AbortError'
    if (isAborted) await this.#commands.device.lost // mapping is aborted before that is told
    await check()
    throw cause
  }

  destroy() {
    this.#isOver = true
    for (const buffer of this.#free.splice(0)) buffer.destroy()
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
    const isKept = !this.#isOver && buffer.size <= SMALL && this.#free.length < MOST
    if (isKept && buffer.mapState === 'mapped') {
      buffer.unmap()
      this.#free.push(buffer)
    } else buffer.destroy()
  }
}
