// Captured steps: a step's commands are recorded while its JavaScript runs, and executed when it
// ends, on memory planned for them. After two identical recordings in a row it is replayed: the
// same commands, without running its JavaScript.
//
// Two things may change between replays: input values, which are copied into the recorded buffers,
// and params given as functions. Any other difference makes the step run as by `Gpu.step`, and
// `reason` says why.

import type { Tensor } from '../../kernels/op.ts'
import type { GpuParts } from '../apply.ts'
import type { Tuner } from '../autotune.ts'
import { type Given, type Input, Inputs, type Value, checkDistinct, received } from './inputs.ts'
import type { Commands } from '../commands.ts'
import type { Storage } from '../memory.ts'
import { Replay } from './replay.ts'
import { type StepResult, type StepRunner, listOf } from '../steps.ts'
import { Trace } from './trace.ts'
import { difference } from './trace-difference.ts'
import { callback, checkOptions, checkValue, flag, inspect } from '../../kernels/options.ts'

/** Options of `Gpu.capture`. */
export interface CaptureOptions {
  /** True (the default) replays the recorded commands. False runs every step as `Gpu.step`
   *  does. */
  readonly replay?: boolean
}

/** The parts of a Gpu that a captured step uses. */
export interface Machinery extends GpuParts {
  readonly commands: Commands
  readonly steps: StepRunner
  readonly tuner: Tuner
  /** Returns the settings that, with the inputs, decide which commands ops give. Throws
   *  DeviceLostError. */
  settings(): object
}

/** The action of the next call:
 *  'recording' records the step, and executes it on planned memory when it has ended;
 *  'comparing', after two steps differed, executes while it records;
 *  'replaying' repeats the recorded commands;
 *  'off' never records. */
type State = 'recording' | 'comparing' | 'replaying' | 'off'

const MAX_INTERVAL = 256 // replays between rehearsals

/** A step that is replayed once it has repeated itself. Made by `Gpu.capture`. */
export class Captured<In extends readonly Input[], T extends StepResult> {
  readonly #gpu: Machinery
  readonly #body: (...inputs: In) => T
  readonly #inputs: Inputs<In>
  #trace: Trace | null = null
  #replay: Replay | null = null
  #state: State
  #replays = 0
  #rehearsed = 0 // replays at the last rehearsal
  #interval = 1 // replays until the next rehearsal
  #returnsList = false
  #requireGrad: readonly boolean[] = [] // for each output
  #reason: string | null = null

  constructor(gpu: Machinery, body: (...inputs: In) => T, options: CaptureOptions = {}) {
    const { replay = true } = checkOptions('Gpu.capture', options, { replay: flag })
    checkValue('Gpu.capture', 'body', body, callback)
    this.#gpu = gpu
    this.#state = replay ? 'recording' : 'off'
    this.#body = body
    this.#inputs = new Inputs(gpu)
  }

  /** The reason why the last call was not replayed. Null if it was, and after the first two calls,
   *  which are recorded. */
  get reason(): string | null {
    return this.#reason
  }

  /** How many calls were replayed. */
  get replays(): number {
    return this.#replays
  }

  /** Bytes of the replays' temporaries, which share memory, and the fewest that any plan could
   *  need. Null before the first plan. */
  get memory(): { readonly bytes: number; readonly least: number } | null {
    return this.#replay?.memory ?? null
  }

  /** Runs the step on these inputs, to the same bits as `Gpu.step`, by a replay where possible.
   *  Throws the body's errors, Error for a tensor given twice, and Error when a rehearsal finds
   *  that the replays before it may have been wrong. */
  run(...given: Given<In>): T {
    const { steps, memory } = this.#gpu
    steps.checkIdle()
    const values = received(given)
    checkDistinct(values)
    return memory.unscoped(() => this.#run(values))
  }

  #run(values: readonly Value[]): T {
    const { steps, tuner } = this.#gpu
    const runEagerly = () => steps.run(() => this.#body(...this.#inputs.bind(values)))
    this.#reason = null
    const { isActive } = this.#gpu.observing
    if (this.#state === 'off' || tuner.isMeasuring || isActive) return runEagerly()
    this.#reason = this.#inputs.admit(values, this.#gpu.settings(), () => this.#forget(null))
    if (this.#reason !== null) return runEagerly()
    this.#inputs.load(values)
    if (this.#replay && !this.#replay.isCurrent())
      this.#forget('a variable or tensor that it uses has moved or gone')
    return this.#state === 'replaying' && this.#replay && this.#trace
      ? this.#repeat(this.#replay, this.#trace)
      : this.#record()
  }

  toString() {
    return `Captured (${this.#replays} replays)`
  }

  [inspect]() {
    return this.toString()
  }

  /** Frees the memory of replays and the last one's outputs. The next calls record the step
   *  anew. */
  release() {
    this.#replay?.releaseOutputs()
    this.#forget(null)
    this.#inputs.release()
  }

  #forget(reason: string | null) {
    this.#dropReplay()
    this.#trace = null
    if (this.#state !== 'off') this.#state = 'recording'
    this.#reason = reason
  }

  /** Records the step and executes it. Two equal steps in a row will be replayed. */
  #record(): T {
    const before = this.#trace
    if (this.#state === 'replaying') this.#state = 'recording' // its plan could not be made
    const trace = new Trace(before, this.#state === 'recording' ? 'deferred' : 'immediate')
    const body = () => this.#body(...this.#inputs.traced)
    this.#trace = null // until the step has ended without an error
    const { steps } = this.#gpu
    const result = trace.recordsOnly ? steps.record(body, trace) : steps.run(body, trace)
    this.#returnsList = Array.isArray(result)
    this.#requireGrad = listOf(result).map((t) => this.#gpu.requiresGrad.has(t))
    const state = this.#compare(before, trace)
    if (!trace.recordsOnly) {
      if (state === 'replaying') this.#plan(trace)
      return result
    }
    const replay = (state === 'replaying' && this.#replay) || this.#plan(trace)
    const outputs = this.#submit(replay, trace, trace)
    if (state === 'comparing') this.#dropReplay()
    return outputs
  }

  /** Compares the step with the one before, and decides what the next call does. */
  #compare(before: Trace | null, trace: Trace): State {
    const change = trace.obstacle ?? (before && difference(before, trace))
    if (change !== null) this.#state = 'comparing'
    else if (before?.obstacle === null) this.#state = 'replaying'
    this.#trace = trace
    this.#reason ??= change
    return this.#state
  }

  /** Plans the step's memory, in place of any earlier plan's. Empties the pool, which steps no
   *  longer use. */
  #plan(trace: Trace): Replay {
    const { memory, commands } = this.#gpu
    this.#dropReplay()
    memory.drain()
    this.#rehearsed = this.#replays
    this.#interval = 1
    return (this.#replay = new Replay(trace, memory, commands))
  }

  #dropReplay() {
    this.#replay?.release()
    this.#replay = null
  }

  /** Replays the step; when a rehearsal is due, rehearses it first. */
  #repeat(replay: Replay, trace: Trace): T {
    const isDue = this.#replays - this.#rehearsed >= this.#interval
    const rehearsal = isDue ? this.#rehearse(trace) : null
    this.#replays++
    return this.#submit(replay, trace, rehearsal)
  }

  /** Submits the step. `called` is a trace of this step in which its functions were called. */
  #submit(replay: Replay, trace: Trace, called: Trace | null): T {
    const tensors = this.#gpu.steps.replay(() => {
      replay.run(called)
      const made = trace.outputs.map((output) => replay.output(output))
      const outputs = trace.outputs.map(({ tensor }, i) =>
        this.#output(tensor, made[i], this.#requireGrad[i]),
      )
      return { outputs, made: made.filter((storage) => storage !== null) }
    })
    return (this.#returnsList ? tensors : tensors[0]) as T // as the body returned it
  }

  /** Returns a tensor like the recorded output on this storage; it carries no history. */
  #output(like: Tensor, storage: Storage | null | undefined, requiresGrad = false): Tensor {
    if (!storage) return like
    const tensor = this.#gpu.tensors.onStorage(storage, like)
    if (!requiresGrad) return tensor
    this.#gpu.requiresGrad.add(tensor)
    this.#gpu.tape.end(tensor)
    return tensor
  }

  /** Runs the step's JavaScript without executing its commands, and compares them with the replayed
   *  ones. */
  #rehearse(before: Trace): Trace {
    const trace = new Trace(before, 'never')
    try {
      this.#gpu.steps.record(() => this.#body(...this.#inputs.traced), trace)
    } catch (error) {
      if (trace.obstacle === null) throw error
    }
    const change = trace.obstacle ?? difference(before, trace)
    const since = this.#replays - this.#rehearsed
    this.#rehearsed = this.#replays
    this.#interval = Math.min(MAX_INTERVAL, 2 * this.#interval)
    if (change === null) return trace
    this.#forget(null)
    this.#state = 'comparing'
    throw new Error(
      `captured step: ${change}. The last ${since} steps, which were replayed, may have been wrong`,
    )
  }
}
