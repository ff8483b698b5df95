// A device that may be lost, and what was made on it. It is opened again once after each loss, and
// the work that the loss interrupted is done again.

import { describe } from '../kernels/options.ts'
import { DeviceLostError } from '../engine/errors.ts'
import { Gpu } from '../engine/gpu.ts'

/** Opens a Gpu. */
export type Open = () => Gpu | Promise<Gpu>

/** Makes what a service needs on a Gpu: models, banks. */
export type MakeOn<On> = (gpu: Gpu) => On | Promise<On>

interface Opened<On> {
  readonly gpu: Gpu
  readonly on: On
}

interface Plan<On> {
  readonly owner: string
  readonly open: Open
  readonly make: MakeOn<On>
  /** How often work is done again. */
  readonly retries: number
}

/** A Gpu that is opened again when its device is lost, and what was made on it. */
export class Device<On> {
  readonly #plan: Plan<On>
  #current: Promise<Opened<On>> | null = null
  #losses = 0
  #retried = 0
  #isClosed = false

  constructor(plan: Plan<On>) {
    this.#plan = plan
  }

  /** How many devices were lost, and how often work was done again. */
  get counts(): { readonly losses: number; readonly retried: number } {
    return { losses: this.#losses, retried: this.#retried }
  }

  /** Opens the device, if it is not open. Throws what `open` and `make` throw. */
  async open(): Promise<void> {
    await this.#opened()
  }

  /** Runs `work`, at most `retries` times again on another device. Throws DeviceLostError when the
   *  last device is lost too, and what opening or the work throws. */
  async run<T>(work: (on: On, gpu: Gpu) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      const opening = this.#opened()
      try {
        const { gpu, on } = await opening
        return await work(on, gpu)
      } catch (error) {
        if (!(error instanceof DeviceLostError) || this.#isClosed) throw error
        await this.#lose(opening)
        if (attempt >= this.#plan.retries) throw error
        this.#retried++
      }
    }
  }

  /** Returns the Gpu, null if none is open. */
  async gpu(): Promise<Gpu | null> {
    return (await this.#current?.catch(() => null))?.gpu ?? null
  }

  /** Destroys the Gpu. */
  async close() {
    this.#isClosed = true
    const gpu = await this.gpu()
    this.#current = null
    gpu?.destroy()
  }

  /** Forgets a lost device, so that the next one is opened. Work that failed on one device together
   *  loses it once. */
  async #lose(opening: Promise<Opened<On>>) {
    if (this.#current !== opening) return
    this.#current = null
    this.#losses++
    const opened = await opening.catch(() => null) // lost while it was opened
    opened?.gpu.destroy()
  }

  #opened(): Promise<Opened<On>> {
    if (this.#current) return this.#current
    const opening = this.#openOnce()
    this.#current = opening
    // work that comes later tries again
    opening.catch(() => {
      if (this.#current === opening) this.#current = null
    })
    return opening
  }

  async #openOnce(): Promise<Opened<On>> {
    const { owner, open, make } = this.#plan
    const gpu = await open()
    if (!(gpu instanceof Gpu))
      throw new TypeError(
        `${owner}: open must return a Gpu, as openGpu() does, got ${describe(gpu)}`,
      )
    try {
      return { gpu, on: await make(gpu) }
    } catch (error) {
      gpu.destroy()
      throw error
    }
  }
}
