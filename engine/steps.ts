// Training steps: one command buffer each. A step's memory is freed when it ends.

import type { Tensor } from '../kernels/op.ts'
import { callback, checkValue } from '../kernels/options.ts'
import { Claims } from './claims.ts'
import type { Commands } from './commands.ts'
import { Counters } from './counters.ts'
import { rules } from './gpu-rules.ts'
import type { Memory, Storage } from './memory.ts'
import type { Observing } from './observe.ts'
import {
  type Carried,
  type StepResult,
  carriedBy,
  checkResult,
  listOf,
  notAsync,
} from './step-result.ts'
import type { Tape } from './tape.ts'
import type { Tensors } from './tensors.ts'
import { tensorsIn } from './tensors-in.ts'
import { Trace } from './capture/trace.ts'

interface Machinery {
  readonly memory: Memory
  readonly commands: Commands
  readonly tensors: Tensors
  readonly observing: Observing
}

/** Runs the steps of one Gpu, one at a time. */
export class StepRunner {
  readonly #memory: Memory
  readonly #commands: Commands
  readonly #tensors: Tensors
  readonly claims = new Claims()
  readonly counters: Counters
  #returned: readonly Storage[] = [] // by the last step
  #running = false
  #ticks = 0

  constructor({ memory, commands, tensors, observing }: Machinery) {
    this.#memory = memory
    this.#commands = commands
    this.#tensors = tensors
    this.counters = new Counters({ commands, observing })
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
    return this.#exclusively(() => {
      const { result, kept } = this.#memory.scope(this.#traced(body, trace), (made) =>
        this.#tensors.storages(listOf(made)),
      )
      this.#commands.flush()
      this.#keep(listOf(result), kept)
      return result
    })
  }

  /** Implements `Gpu.fold`. */
  fold<Item, Carry extends Carried>(
    items: readonly Item[],
    carry: Carry,
    body: (carry: Carry, item: Item) => Carry,
  ): Carry {
    checkValue('Gpu.fold', 'items', items, rules.list)
    checkValue('Gpu.fold', 'body', body, callback)
    const storagesOf = (made: Carry) => this.#tensors.storages(carriedBy(made))
    let carried = carry
    let held: readonly Storage[] = []
    for (const item of items) {
      const before = carried
      const { result, kept } = this.#memory.scope(() => body(before, item), storagesOf)
      held = [...kept, ...this.#releaseUnless(storagesOf(result), held)]
      carried = result
    }
    return carried
  }

  /** Records a step without executing it; the returned tensors have no memory. If the trace refuses
   *  a command, the commands so far are executed and the rest of the step runs as by `run`. */
  record<T extends StepResult>(body: () => T, trace: Trace): T {
    return this.#exclusively(() => {
      trace.attach(
        (storage) => this.#memory.isPlaceholder(storage),
        () => this.#catchUp(trace),
      )
      const { result, kept } = this.#memory.scope(
        () => this.#memory.withPlaceholder(this.#traced(body, trace)),
        (made) => this.#tensors.storages(listOf(made)),
      )
      if (trace.recordsOnly) for (const storage of kept) this.#memory.release(storage)
      else {
        this.#commands.flush()
        this.#keep(listOf(result), kept)
      }
      return result
    })
  }

  /** Records a step that is never executed, up to a read or whatever else has to be. Takes back its
   *  counters, and leaves out actions of `everyStep` that have no `undo`. */
  runDry(body: () => StepResult) {
    const trace = new Trace(null, 'ahead')
    this.checkIdle()
    this.counters.dry(() => {
      try {
        this.record(body, trace)
      } catch (error) {
        if (trace.obstacle === null) throw error
      }
    })
  }

  /** Executes the commands that a trace has recorded so far. A storage that was freed since has
   *  memory from its first command to its last. */
  #catchUp(trace: Trace) {
    this.#memory.materialize()
    this.#commands.trace = null
    for (const { command, storages, lastUsed } of trace.pending()) {
      for (const storage of storages) if (!storage.block) this.#memory.reallocate(storage)
      this.#commands.execute(command, storages)
      for (const storage of lastUsed) this.#memory.release(storage)
    }
    this.#commands.trace = trace
  }

  /** Runs a step whose commands `submit` submits. `submit` returns the tensors that outlive the
   *  step, and the storages of those that the step made. */
  replay(
    submit: () => { readonly outputs: readonly Tensor[]; readonly made: readonly Storage[] },
  ): readonly Tensor[] {
    return this.#exclusively(() => {
      const { outputs, made } = submit()
      this.#keep(outputs, made)
      return outputs
    })
  }

  /** Runs `body` by `pause`, which stops the tape. Outside of steps, frees its tensors, except
   *  those in its result, which live while something refers to them. Within a step, the step frees
   *  them. Throws Error for an async body. */
  noGrad<T>(body: () => T, pause: (body: () => T) => T): T {
    checkValue('Gpu.noGrad', 'body', body, callback)
    if (this.#running) return notAsync(pause(body))
    const pick = (made: T) => this.#tensors.storagesAlive(tensorsIn(made))
    const end = 'the noGrad it was made in; return it from there'
    const { result } = this.#memory.scope(() => notAsync(pause(body)), pick, end)
    this.#commands.flush() // else uploads could not reuse its memory
    this.tick()
    return result
  }

  /** Advances the clock by which idle pooled buffers are destroyed. Steps and reads count. */
  tick() {
    if (!this.#running) this.#memory.trim(++this.#ticks)
  }

  #exclusively<T>(step: () => T): T {
    this.checkIdle()
    this.#commands.flush()
    this.claims.clear()
    this.#running = true
    try {
      return this.counters.during(() => this.#orDropped(() => this.#memory.unscoped(step)))
    } finally {
      this.#running = false
      this.tick()
    }
  }

  /** Runs `body`, and drops its commands if it throws. */
  #orDropped<T>(body: () => T): T {
    try {
      return body()
    } catch (error) {
      this.#commands.drop()
      throw error
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

  /** Keeps a step's outputs until a later step does not return them. */
  #keep(outputs: readonly Tensor[], made: readonly Storage[]) {
    const returned = this.#tensors.storages(outputs)
    this.#returned = [...made, ...this.#releaseUnless(returned, this.#returned)]
  }

  /** Frees the held storages that were not returned again, and returns the others. */
  #releaseUnless(returned: readonly Storage[], held: readonly Storage[]): readonly Storage[] {
    const isReturned = new Set(returned)
    for (const storage of held) if (!isReturned.has(storage)) this.#memory.release(storage)
    return held.filter((storage) => isReturned.has(storage))
  }
}

/** Implements `Gpu.noGrad`. */
export const noGrad = <T>({ steps, tape }: { steps: StepRunner; tape: Tape }, body: () => T): T =>
  steps.noGrad(body, (run) => tape.pause(run))
