// Reads tensors, awaits submitted work, and throws the errors that WebGPU reports meanwhile.

import { type DType, type Tensor, ShapeError, show, sizeOf } from '../kernels/op.ts'
import { checkTensor } from '../kernels/options.ts'
import type { Commands } from './commands.ts'
import { type Reports, quiet } from './errors.ts'
import { Readback } from './readback.ts'
import type { StepRunner } from './steps.ts'
import type { Tensors } from './tensors.ts'
import { unpack, unpackExactly } from './values.ts'

interface Machinery {
  readonly commands: Commands
  readonly tensors: Tensors
  readonly steps: StepRunner
  readonly reports: Reports
  /** Called when waiting begins. Returns a function to call when the wait ends. */
  readonly onWait: () => () => void
}

/** The waits of one Gpu. A promise that nobody awaits does not end the process when it rejects. */
export class Reads {
  readonly #gpu: Machinery
  readonly #readback: Readback

  constructor(gpu: Machinery) {
    this.#gpu = gpu
    this.#readback = new Readback(gpu.commands, gpu.onWait, () => this.#checking())
  }

  /** How many buffers were created. */
  get made(): number {
    return this.#readback.made
  }

  read(t: Tensor): Promise<Float32Array> {
    return quiet(this.#read(t, unpack))
  }

  /** Reads i32 and u8 as they are, and others as `read` does. */
  exactly(t: Tensor): Promise<Float32Array | Int32Array | Uint8Array> {
    return quiet(this.#read(t, unpackExactly))
  }

  item(t: Tensor): Promise<number> {
    return quiet(this.#item(t))
  }

  sync(): Promise<void> {
    return quiet(this.#sync())
  }

  pace(most: number): Promise<void> {
    return quiet(this.#pace(most))
  }

  check(): Promise<void> {
    return quiet(this.#checking()())
  }

  /** Throws the reason why a wait failed. */
  explain(cause: unknown): Promise<never> {
    return this.#readback.explain(cause)
  }

  destroy() {
    this.#readback.destroy()
  }

  async #read<T>(
    t: Tensor,
    as: (memory: ArrayBuffer, dtype: DType, count: number) => T,
  ): Promise<T> {
    const { commands, tensors, steps } = this.#gpu
    commands.checkAlive()
    checkTensor('Gpu.read', 'tensor', t)
    const count = sizeOf(t.shape)
    const reading = this.#readback.read(tensors.storage(t), (memory) => as(memory, t.dtype, count))
    steps.tick()
    return reading
  }

  async #item(t: Tensor): Promise<number> {
    this.#gpu.commands.checkAlive()
    checkTensor('Gpu.item', 'tensor', t)
    if (sizeOf(t.shape) !== 1)
      throw new ShapeError(
        `Gpu.item: the tensor must hold one number, got ${show(t.shape)}; read it`,
      )
    const [number = NaN] = await this.#read(t, unpack)
    return number
  }

  async #sync(): Promise<void> {
    const { commands, steps } = this.#gpu
    commands.flush()
    steps.tick()
    await this.#readback.pace(0)
  }

  async #pace(most: number): Promise<void> {
    this.#gpu.commands.flush()
    await this.#readback.pace(most)
  }

  /** Returns a function that throws the first error of the calls so far. */
  #checking(): () => Promise<void> {
    const { commands, reports } = this.#gpu
    const soFar = reports.soFar()
    return async () => {
      const failure = await soFar()
      commands.checkAlive()
      if (failure) throw failure
    }
  }
}
