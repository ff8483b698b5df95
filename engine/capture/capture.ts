// Captured steps: a step's commands are recorded while its JavaScript runs, and executed when it
// ends, on memory planned for them. After two identical recordings it is replayed: the same
// commands, without running its JavaScript.
//
// Two things may change between replays: input values, which are copied into the recorded buffers,
// and params given as functions. Inputs of another shape, other settings and other variables make
// another step, with a plan of its own. Any other difference makes the step run as by `Gpu.step`,
// and `reason` says why.

import type { Tuner } from '../autotune.ts'
import type { Pipelines } from '../pipelines.ts'
import type { Reads } from '../reads.ts'
import type { StepResult } from '../step-result.ts'
import { callback, checkOptions, checkValue, count, flag, inspect } from '../../kernels/options.ts'
import { Arena } from './arena.ts'
import { CapturedPlan, type PlanMachinery, type Shared } from './captured-plan.ts'
import {
  type Given,
  type Input,
  Inputs,
  type Value,
  bindInputs,
  checkDistinct,
  received,
} from './inputs.ts'
import { signatureDifference, signatureKey, signatureOf } from './signature.ts'

/** Options of `Gpu.capture`. */
export interface CaptureOptions {
  /** True (the default) replays the recorded commands. False runs every step as `Gpu.step`
   *  does. */
  readonly replay?: boolean
  /** How many plans are kept, one for each signature of the inputs. 4 by default. */
  readonly plans?: number
}

const rules = { replay: flag, plans: count }

/** The parts of a Gpu that a captured step uses. */
export interface Machinery extends PlanMachinery {
  readonly tuner: Tuner
  readonly pipelines: Pipelines
  readonly reads: Reads
  /** Returns the settings that, with the inputs, decide which commands ops give. Throws
   *  DeviceLostError. */
  settings(): object
}

/** A plan, and the number of the call that last used it. */
interface Kept<In extends readonly Input[], T extends StepResult> {
  readonly plan: CapturedPlan<In, T>
  readonly used: number
}

/** A step that is replayed once it has repeated itself. Made by `Gpu.capture`. */
export class Captured<In extends readonly Input[], T extends StepResult> {
  readonly #gpu: Machinery
  readonly #shared: Shared<In, T>
  readonly #isOn: boolean
  readonly #most: number
  readonly #kept = new Map<string, Kept<In, T>>() // by signature, the least recently used first
  readonly #waiting = new Map<string, number>() // the last calls of signatures without a plan
  #calls = 0
  #replaysBefore = 0 // of plans that were dropped
  #reason: string | null = null

  constructor(gpu: Machinery, body: (...inputs: In) => T, options: CaptureOptions = {}) {
    const { replay = true, plans = 4 } = checkOptions('Gpu.capture', options, rules)
    checkValue('Gpu.capture', 'body', body, callback)
    this.#gpu = gpu
    this.#shared = { gpu, body, arena: new Arena(gpu.memory) }
    this.#isOn = replay
    this.#most = plans
  }

  /** The reason why the last call was not replayed. Null if it was, and while a plan is recorded:
   *  for two calls of each signature, except that the first call of a further one says what differs
   *  from the call before. */
  get reason(): string | null {
    return this.#reason
  }

  /** How many calls were replayed. */
  get replays(): number {
    const plans = [...this.#kept.values()]
    return plans.reduce((sum, { plan }) => sum + plan.replays, this.#replaysBefore)
  }

  /** How many plans are kept. */
  get plans(): number {
    return this.#kept.size
  }

  /** Bytes of the plans' temporaries, which share memory, and the fewest that any arrangement could
   *  need. Null before the first plan. */
  get memory(): { readonly bytes: number; readonly least: number } | null {
    return this.#shared.arena.bytes
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
    const { steps, tuner, observing } = this.#gpu
    this.#reason = null
    const dropped: CapturedPlan<In, T>[] = []
    const isOn = this.#isOn && !tuner.isMeasuring && !observing.isActive
    const plan = isOn ? this.#planFor(values, dropped) : null
    try {
      if (!plan)
        return steps.run(() =>
          this.#shared.body(...(bindInputs(this.#gpu, values) as unknown as In)),
        )
      return steps.counters.during(() => plan.run(values))
    } catch (error) {
      if (plan?.isEmpty) dropped.push(this.#drop(plan))
      throw error
    } finally {
      this.#reason = plan?.reason ?? this.#reason
      for (const one of dropped) one.releaseInputs() // not before: they may be among the values
    }
  }

  /** Compiles the kernels that `run` needs for such inputs, in the background, so that the first
   *  step compiles nothing. Nothing is executed: variables, counters and seeds stay, and of the
   *  inputs only shapes and kinds count. Calls the body once; an action of `Gpu.everyStep` without
   *  an `undo` is left out, and so is what comes after a read in the body. Throws the body's
   *  errors, GpuError for a kernel that does not compile, and Error within a step. */
  async warm(...given: Given<In>): Promise<void> {
    const gpu = this.#gpu
    gpu.settings() // throws for a lost device
    const values = received(given)
    checkDistinct(values)
    if (gpu.observing.isActive)
      throw new Error('Captured.warm: it cannot run in the body of trace, findNaN or summary')
    const body = () => this.#shared.body(...new Inputs<In>(gpu, values).traced)
    const list = () => gpu.memory.unscoped(() => gpu.steps.runDry(body))
    await gpu.pipelines.compileAhead(list).catch((cause: unknown) => gpu.reads.explain(cause))
  }

  toString() {
    return `Captured (${this.replays} replays)`
  }

  [inspect]() {
    return this.toString()
  }

  /** Frees the memory of replays and the last one's outputs. The next calls record the step
   *  anew. */
  release() {
    for (const { plan } of this.#kept.values()) {
      plan.releaseOutputs()
      this.#drop(plan).releaseInputs()
    }
    this.#waiting.clear()
  }

  /** Returns the plan for these inputs, or null if none may be kept. Adds to `dropped` those that
   *  gave way, which hold their inputs still. */
  #planFor(values: readonly Value[], dropped: CapturedPlan<In, T>[]): CapturedPlan<In, T> | null {
    const signature = signatureOf(this.#gpu, values, this.#gpu.settings())
    const key = signatureKey(signature)
    this.#calls++
    const known = this.#kept.get(key)?.plan
    if (known?.isCurrent()) return this.#keep(key, known)
    const last = [...this.#kept.values()].at(-1)?.plan.signature
    if (last) this.#reason = signatureDifference(last, signature) || null
    for (const { plan } of this.#kept.values())
      if (!plan.isCurrent()) dropped.push(this.#drop(plan))
    if (!this.#makeRoom(key, dropped)) {
      this.#reason = `${this.#reason}; ${this.#most} plans are kept for other inputs`
      return null
    }
    return this.#keep(key, new CapturedPlan(this.#shared, signature, values))
  }

  /** Keeps a plan as the most recently used. */
  #keep(key: string, plan: CapturedPlan<In, T>): CapturedPlan<In, T> {
    this.#kept.delete(key)
    this.#kept.set(key, { plan, used: this.#calls })
    return plan
  }

  /** Makes room for one more plan, if need be that of the least recently used, provided that this
   *  signature has come twice since. So what comes once displaces nothing, nor does one signature
   *  too many in turn. */
  #makeRoom(key: string, dropped: CapturedPlan<In, T>[]): boolean {
    const [oldest] = this.#kept
    if (this.#kept.size < this.#most || !oldest) return true
    const [, { plan, used }] = oldest
    const before = this.#waiting.get(key) ?? -1
    this.#waiting.delete(key)
    if (before > used) {
      dropped.push(this.#drop(plan))
      return true
    }
    this.#waiting.set(key, this.#calls)
    const [first] = this.#waiting.keys()
    if (this.#waiting.size > this.#most && first !== undefined) this.#waiting.delete(first)
    return false
  }

  /** Frees a plan's memory, except its inputs'. */
  #drop(plan: CapturedPlan<In, T>): CapturedPlan<In, T> {
    this.#kept.delete(signatureKey(plan.signature))
    this.#replaysBefore += plan.replays
    plan.forget()
    return plan
  }
}
