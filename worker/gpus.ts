// The Gpu of a worker's training: one at a time, opened when it is needed, and another one after
// its device was lost.

import type { Gpu } from '../engine/gpu.ts'
import { checkValue, onGpu } from '../kernels/options.ts'
import { lossOf } from '../training/devices.ts'

/** The Gpus of one training, as `trainOn` takes them. */
export class Gpus {
  readonly #make: () => Promise<Gpu>
  #gpu: Gpu | null = null
  #opening: Promise<Gpu> | null = null // of the same
  #isEnded = false

  constructor(make: () => Promise<Gpu>) {
    this.#make = make
  }

  /** Resolves to the Gpu. Rejects with what opening it throws, and with Error after `end`. */
  readonly open = (): Promise<Gpu> => (this.#opening ??= this.#opened())

  /** Keeps a Gpu for what comes next, unless its device is lost. */
  readonly close = (gpu: Gpu, isLost: boolean) => {
    if (!isLost) return
    gpu.destroy()
    if (this.#gpu === gpu) this.#gpu = this.#opening = null
  }

  /** Does work that can be done again: once more, with another Gpu, if the device is lost. */
  async on<T>(work: (gpu: Gpu) => Promise<T>): Promise<T> {
    const gpu = await this.open()
    try {
      return await work(gpu)
    } catch (error) {
      if (!(await lossOf(gpu, error))) throw error
      this.close(gpu, true)
      return work(await this.open())
    }
  }

  /** Destroys the Gpu. No other one is opened. */
  end() {
    this.#isEnded = true
    this.#gpu?.destroy()
    this.#gpu = this.#opening = null
  }

  async #opened(): Promise<Gpu> {
    try {
      if (this.#isEnded) throw replaced()
      const gpu = checkValue('serveTraining', 'what open resolves to', await this.#make(), onGpu)
      if (!this.#isEnded) return (this.#gpu = gpu)
      gpu.destroy()
      throw replaced()
    } catch (error) {
      this.#opening = null
      throw error
    }
  }
}

const replaced = () => new Error('another training was started in this worker; ask that one')
