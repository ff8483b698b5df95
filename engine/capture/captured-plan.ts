// A plan of a captured step: what was recorded for calls of one signature, and how it is replayed.

import type { Tensor } from '../../kernels/op.ts'
import type { GpuParts } from '../apply.ts'
import type { Commands } from '../commands.ts'
import type { Storage } from '../memory.ts'
import { type StepResult, listOf } from '../step-result.ts'
import type { StepRunner } from '../steps.ts'
import type { Arena, Tenant } from './arena.ts'
import { type Input, Inputs, type Value } from './inputs.ts'
import { Replay } from './replay.ts'
import type { Signature } from './signature.ts'
import { Trace } from './trace.ts'
import { difference } from './trace-difference.ts'

/** The parts of a Gpu that a plan uses. */
export interface PlanMachinery extends GpuParts {
  readonly commands: Commands
  readonly steps: StepRunner
}

/** What the plans of one captured step share. */
export interface Shared<In extends readonly Input[], T extends StepResult> {
  readonly gpu: PlanMachinery
  readonly body: (...inputs: In) => T
  readonly arena: Arena
}

/** The action of the next call:
 *  'recording' records the step, and executes it on planned memory when it has ended;
 *  'comparing', after two steps differed, executes while it records;
 *  'replaying' repeats the recorded commands. */
type State = 'recording' | 'comparing' | 'replaying'

const MAX_INTERVAL = 256 // replays between rehearsals

/** The recorded calls of one signature. Two equal recordings in a row are replayed from then on. */
export class CapturedPlan<In extends readonly Input[], T extends StepResult> implements Tenant {
  readonly signature: Signature
  readonly #shared: Shared<In, T>
  readonly #inputs: Inputs<In>
  #trace: Trace | null = null
  #replay: Replay | null = null
  #state: State = 'recording'
  #replays = 0
  #rehearsed = 0 // replays at the last rehearsal
  #interval = 1 // replays until the next rehearsal
  #returnsList = false
  #requireGrad: readonly boolean[] = [] // for each output
  #reason: string | null = null

  constructor(shared: Shared<In, T>, signature: Signature, values: readonly Value[]) {
    this.#shared = shared
    this.signature = signature
    this.#inputs = new Inputs(shared.gpu, values)
  }

  /** The reason why the last call was not replayed; null if it was, or may be the next time. */
  get reason(): string | null {
    return this.#reason
  }

  /** How many calls were replayed. */
  get replays(): number {
    return this.#replays
  }

  /** True if nothing is recorded. */
  get isEmpty(): boolean {
    return this.#trace === null
  }

  /** Tells whether a call can still have this signature. */
  isCurrent(): boolean {
    return this.#inputs.isCurrent()
  }

  /** Runs the step on inputs of this signature. */
  run(values: readonly Value[]): T {
    this.#reason = null
    this.#inputs.load(values)
    if (this.#trace && this.#state === 'replaying' && !isInPlace(this.#trace)) {
      this.forget()
      this.#reason = 'a variable or tensor that it uses has moved or gone'
    }
    return this.#state === 'replaying' && this.#trace ? this.#repeat(this.#trace) : this.#record()
  }

  /** Frees the replay's memory beside the place in the arena, which has moved. */
  evict() {
    this.#replay?.release()
    this.#replay = null
  }

  /** Frees the outputs of the last run. */
  releaseOutputs() {
    this.#replay?.releaseOutputs()
  }

  /** Frees the inputs. */
  releaseInputs() {
    this.#inputs.release()
  }

  /** Frees the replay. The next calls record the step anew. */
  forget() {
    this.#leave()
    this.#trace = null
    this.#state = 'recording'
  }

  #leave() {
    this.evict()
    this.#shared.arena.leave(this)
  }

  /** Records the step and executes it. Two equal steps in a row will be replayed. */
  #record(): T {
    const { gpu } = this.#shared
    const before = this.#trace
    const trace = new Trace(before, this.#state === 'recording' ? 'deferred' : 'immediate')
    const body = () => this.#shared.body(...this.#inputs.traced)
    this.#trace = null // until the step has ended without an error
    const { steps } = gpu
    const result = trace.recordsOnly ? steps.record(body, trace) : steps.run(body, trace)
    this.#returnsList = Array.isArray(result)
    this.#requireGrad = listOf(result).map((t) => gpu.requiresGrad.has(t))
    const state = this.#compare(before, trace)
    if (!trace.recordsOnly) {
      if (state === 'replaying') this.#planAnew(trace)
      return result
    }
    const replay = state === 'replaying' ? this.#ready(trace) : this.#planAnew(trace)
    const outputs = this.#submit(replay, trace, trace)
    if (state === 'comparing') this.#leave()
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

  /** Plans the step's memory, in place of any earlier plan's. */
  #planAnew(trace: Trace): Replay {
    this.#leave()
    this.#rehearsed = this.#replays
    this.#interval = 1
    return this.#ready(trace)
  }

  /** Returns the replay of a trace, made anew if its place in the arena has moved. */
  #ready(trace: Trace): Replay {
    const { gpu, arena } = this.#shared
    return (this.#replay ??= new Replay(trace, gpu, arena, this))
  }

  /** Replays the step; when a rehearsal is due, rehearses it first. */
  #repeat(trace: Trace): T {
    const isDue = this.#replays - this.#rehearsed >= this.#interval
    const rehearsal = isDue ? this.#rehearse(trace) : null
    this.#replays++
    return this.#submit(this.#ready(trace), trace, rehearsal)
  }

  /** Submits the step. `called` is a trace of this step in which its functions were called. */
  #submit(replay: Replay, trace: Trace, called: Trace | null): T {
    const tensors = this.#shared.gpu.steps.replay(() => {
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
    const { gpu } = this.#shared
    if (!storage) return like
    const tensor = gpu.tensors.onStorage(storage, like)
    if (!requiresGrad) return tensor
    gpu.requiresGrad.add(tensor)
    gpu.tape.end(tensor)
    return tensor
  }

  /** Runs the step's JavaScript without executing its commands, and compares them with the replayed
   *  ones. */
  #rehearse(before: Trace): Trace {
    const trace = new Trace(before, 'never')
    const { gpu, body } = this.#shared
    try {
      gpu.steps.record(() => body(...this.#inputs.traced), trace)
    } catch (error) {
      if (trace.obstacle === null) throw error
    }
    const change = trace.obstacle ?? difference(before, trace)
    const since = this.#replays - this.#rehearsed
    this.#rehearsed = this.#replays
    this.#interval = Math.min(MAX_INTERVAL, 2 * this.#interval)
    if (change === null) return trace
    this.forget()
    this.#state = 'comparing'
    throw new Error(
      `captured step: ${change}. The last ${since} steps, which were replayed, may have been wrong`,
    )
  }
}

/** Tells whether all memory that a step uses from outside is where it was recorded. */
const isInPlace = ({ outer }: Trace): boolean =>
  outer.every(({ storage, block, offset }) => storage.block === block && storage.offset === offset)
