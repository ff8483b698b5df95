// Training steps: one command buffer each, and the end of everything made in them.

import type { Tensor } from '../kernels/op.ts'
import type { Commands } from './commands.ts'
import type { Memory, Storage } from './memory.ts'
import type { Tensors } from './tensors.ts'

/** What a step may return: the tensors that outlive it. */
export type StepResult = Tensor | readonly Tensor[] | void

/** Runs the steps of one Gpu, one at a time. */
export class Steps {
  readonly #memory: Memory
  readonly #commands: Commands
  readonly #tensors: Tensors
  #survivors: readonly Storage[] = [] // what the last step returned
  #running = false
  #ticks = 0

  constructor(memory: Memory, commands: Commands, tensors: Tensors) {
    this.#memory = memory
    this.#commands = commands
    this.#tensors = tensors
  }

  get running(): boolean {
    return this.#running
  }

  /** Runs a step, submits it, and reclaims what it made, save what it returns: that lives until a step ends that does
   *  not return it again. */
  run<T extends StepResult>(body: () => T): T {
    if (this.#running) throw new Error('Gpu.step: a step cannot run inside a step')
    this.#commands.flush()
    this.#running = true
    try {
      const { result, kept } = this.#memory.scope(body, (made) => this.#tensors.storages(listOf(made)))
      this.#commands.flush()
      const returned = new Set(this.#tensors.storages(listOf(result)))
      for (const storage of this.#survivors) if (!returned.has(storage)) this.#memory.release(storage)
      this.#survivors = [...kept, ...this.#survivors.filter((storage) => returned.has(storage))]
      return result
    } catch (error) {
      this.#commands.drop()
      throw error
    } finally {
      this.#running = false
      this.tick()
    }
  }

  /** Lets time pass for pooled memory, which is given back when nothing wants it for long. Steps and reads count. */
  tick() {
    if (!this.#running) this.#memory.trim(++this.#ticks)
  }
}

function listOf(result: StepResult): readonly Tensor[] {
  if (!result) return []
  return 'gpu' in result ? [result] : result
}
