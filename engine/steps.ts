// Training steps: one command buffer each. A step's memory is freed when it ends.

import type { Tensor } from '../kernels/op.ts'
import { callback, checkValue } from '../kernels/options.ts'
import { Claims } from './claims.ts'
import type { Commands } from './commands.ts'
import { rules } from './gpu-rules.ts'
import type { Memory, Storage } from './memory.ts'
import type { Tensors } from './tensors.ts'
import { tensorsIn } from './tensors-in.ts'
import type { Trace } from './capture/trace.ts'

/** The result of a step: the tensors that outlive it. */
export type StepResult = Tensor | readonly Tensor[] | void

/** The result of a turn of a fold, handed to the next: the tensors that outlive it. */
export type Carried = readonly Tensor[] | ReadonlyMap<Tensor, Tensor>

/** Runs the steps of one Gpu, one at a time. */
export class Steps {
  readonly #memory: Memory
  readonly #commands: Commands
  readonly #tensors: Tensors
  readonly claims = new Claims()
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

  /** Throws Error while a step is running. */
  checkIdle() {
    if (this.#running) throw new Error('Gpu.step: a step cannot run inside a step')
  }

  /** Runs one step, submits it and frees its tensors. Returned tensors live until the next step
   *  that does not return them. Its commands are also recorded in `trace`. */
  run<T extends StepResult>(body: () => T, trace: Trace | null = null): T {
    return this.#alone(() => {
      const traced = this.#traced(body, trace)
      const { result, kept } = this.#memory.scope(traced, (made) =>
        this.#tensors.storages(listOf(made)),
      )
      this.#commands.flush()
      this.#survive(listOf(result), kept)
      return result
    })
  }

  /** Runs `carry = body(carry, item)` for each item and returns the last carry. A turn's memory is
   *  freed when it ends; its carry lives until a turn that does not return it again. */
  fold<Item, Carry extends Carried>(
    items: readonly Item[],
    carry: Carry,
    body: (carry: Carry, item: Item) => Carry,
  ): Carry {
    checkValue('Gpu.fold', 'items', items, rules.list)
    checkValue('Gpu.fold', 'body', body, callback)
    let carried = carry
    let held: readonly Storage[] = []
    for (const item of items) {
      const before = carried
      const storages = (made: Carry) => this.#tensors.storages(carriedBy(made))
      const { result, kept } = this.#memory.scope(() => body(before, item), storages)
      const returned = new Set(storages(result))
      for (const storage of held) if (!returned.has(storage)) this.#memory.release(storage)
      held = [...kept, ...held.filter((storage) => returned.has(storage))]
      carried = result
    }
    return carried
  }

  /** Records a step without executing it; the returned tensors have no memory. If recording is
   *  abandoned on the way, its commands so far are executed and the rest of the step runs as by
   *  `run`. */
  record<T extends StepResult>(body: () => T, trace: Trace): T {
    return this.#alone(() => {
      trace.attach(
        (storage) => this.#memory.standsInFor(storage),
        () => this.#catchUp(trace),
      )
      const traced = this.#traced(body, trace)
      const { result, kept } = this.#memory.scope(
        () => this.#memory.standIn(traced),
        (made) => this.#tensors.storages(listOf(made)),
      )
      if (trace.held) for (const storage of kept) this.#memory.release(storage)
      else {
        this.#commands.flush()
        this.#survive(listOf(result), kept)
      }
      return result
    })
  }

  /** Executes the commands that a trace has held so far. A storage that was freed since has memory
   *  from its first command to its last. */
  #catchUp(trace: Trace) {
    this.#memory.settle()
    this.#commands.trace = null
    for (const { command, storages, over } of trace.redo()) {
      const dead = storages.filter(({ block }) => block === null)
      for (const storage of dead) this.#memory.revive(storage)
      this.#commands.redo(command, storages)
      for (const storage of over) this.#memory.release(storage)
    }
    this.#commands.trace = trace
  }

  /** Runs a step that `submit` submits. It returns the tensors that outlive the step, and the
   *  storages of those that the step made. */
  replay(
    submit: () => { readonly outputs: readonly Tensor[]; readonly made: readonly Storage[] },
  ): readonly Tensor[] {
    return this.#alone(() => {
      const { outputs, made } = submit()
      this.#survive(outputs, made)
      return outputs
    })
  }

  /** Runs `body` by `pause`, off the tape. Outside of steps, its tensors are freed at its end,
   *  except those in what it returns, which live while something refers to them. Within a step, the
   *  step frees them. Throws Error for an async body. */
  aside<T>(body: () => T, pause: (body: () => T) => T): T {
    checkValue('Gpu.noGrad', 'body', body, callback)
    if (this.#running) return notAsync(pause(body))
    const pick = (made: T) => this.#tensors.living(tensorsIn(made))
    const end = 'the noGrad it was made in; return it from there'
    const { result } = this.#memory.scope(() => notAsync(pause(body)), pick, end)
    this.#commands.flush() // uploads would not be used again before
    this.tick()
    return result
  }

  /** Advances the clock by which idle pooled buffers are destroyed. Steps and reads count. */
  tick() {
    if (!this.#running) this.#memory.trim(++this.#ticks)
  }

  #alone<T>(step: () => T): T {
    this.checkIdle()
    this.#commands.flush()
    this.claims.clear()
    this.#running = true
    try {
      return this.#memory.unscoped(step)
    } catch (error) {
      this.#commands.drop()
      throw error
    } finally {
      this.#running = false
      this.tick()
    }
  }

  #traced<T extends StepResult>(body: () => T, trace: Trace | null): () => T {
    return () => {
      this.#commands.trace = trace
      try {
        const result = body()
        checkResult(result)
        trace?.returns(listOf(result), this.#tensors.storages(listOf(result)))
        return result
      } finally {
        this.#commands.trace = null
      }
    }
  }

  #survive(outputs: readonly Tensor[], kept: readonly Storage[]) {
    const returned = new Set(this.#tensors.storages(outputs))
    for (const storage of this.#survivors) if (!returned.has(storage)) this.#memory.release(storage)
    this.#survivors = [...kept, ...this.#survivors.filter((storage) => returned.has(storage))]
  }
}

function notAsync<T>(result: T): T {
  if (!(result instanceof Promise)) return result
  result.catch(() => {}) // what it goes on to is lost
  throw new Error('Gpu.noGrad: the body must not be async; await outside of it')
}

/** Throws Error for what plain JavaScript may hand on. */
function carriedBy(carry: Carried): readonly Tensor[] {
  if (!Array.isArray(carry) && !(carry instanceof Map))
    throw new Error('Gpu.fold: what a turn returns must be tensors in an array or a map')
  return [...carry.values()]
}

/** Throws Error for what plain JavaScript may return. */
function checkResult(result: unknown) {
  if (result instanceof Promise) {
    result.catch(() => {}) // what it goes on to is lost
    throw new Error(
      'Gpu.step: the body must not be async; return the tensors, and await reads of them outside',
    )
  }
  for (const one of Array.isArray(result) ? (result as unknown[]) : [result])
    if (one && !(typeof one === 'object' && 'gpu' in one))
      throw new Error(
        `Gpu.step: the body must return a tensor, several in an array, or nothing, got a ${typeof one}`,
      )
}

/** The tensors of a step's result. */
export function listOf(result: StepResult): readonly Tensor[] {
  if (!result) return []
  return 'gpu' in result ? [result] : result
}
