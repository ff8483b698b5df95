// Captured steps: a step that is traced while it runs as any other, and, once two steps in a row have commanded the same,
// is replayed from then on: the same commands on memory planned beforehand, without running its JavaScript.
//
// What may differ from step to step is what it is given: the inputs' values, which are copied to where the commands expect
// them, and params that are functions. Anything else that differs makes the step run as any other again, and `reason` says why.

import type { Tensor, Values, Variable } from '../kernels/op.ts'
import { show } from '../kernels/op.ts'
import type { Parts } from './apply.ts'
import type { Commands } from './commands.ts'
import type { Storage } from './memory.ts'
import { Replay } from './replay.ts'
import { type StepResult, type Steps, listOf } from './steps.ts'
import { Trace, difference } from './trace.ts'
import { checkCount, dtypeOf } from './values.ts'

/** Values to put on the GPU for one step. */
export interface Upload {
  readonly values: Values
  readonly shape: readonly number[]
}

/** What a captured step's body is given: tensors that hold this call's values, variables as they are, and settings, which are part of its
 *  structure: with another one it is another step. */
export type Input = Tensor | string | number | boolean

/** What a call gives for it. */
export type Given<In extends readonly Input[]> = {
  [I in keyof In]: In[I] extends Tensor ? Tensor | Upload : In[I]
}

export interface CaptureOptions {
  /** False runs every step as `Gpu.step` does. */
  readonly replay?: boolean
}

type Value = Tensor | Upload | string | number | boolean

/** What a captured step needs of its Gpu. */
export interface Machinery extends Parts {
  readonly commands: Commands
  readonly steps: Steps
  /** What else decides which commands ops give. Throws when the Gpu is gone. */
  settings(): object
}

const OFTEN = 256 // replays between rehearsals, at most

/** A step that is replayed once it has repeated itself. Made by `Gpu.capture`. */
export class Captured<In extends readonly Input[], T extends StepResult> {
  readonly #gpu: Machinery
  readonly #body: (...inputs: In) => T
  readonly #isOn: boolean
  #kind: string | null = null // of the inputs and settings that are traced
  #last: string | null = null // of the last call's
  #inputs: readonly Input[] = []
  #trace: Trace | null = null
  #replay: Replay | null = null
  #replays = 0
  #rehearsed = 0 // replays at the last rehearsal
  #interval = 1
  #returned: { isList: boolean; wanted: readonly boolean[] } = { isList: false, wanted: [] }
  #reason: string | null = null

  constructor(gpu: Machinery, body: (...inputs: In) => T, { replay = true }: CaptureOptions = {}) {
    this.#gpu = gpu
    this.#isOn = replay
    this.#body = body
  }

  /** Why the last call was not replayed; null when it was, or when it was one of the first two, which are traced. */
  get reason(): string | null {
    return this.#reason
  }

  /** How many calls were replayed. */
  get replays(): number {
    return this.#replays
  }

  /** Bytes of the replays' temporaries, which share memory, and the fewest that any plan could do with; null before the first. */
  get memory(): { readonly bytes: number; readonly least: number } | null {
    return this.#replay?.memory ?? null
  }

  /** Runs the step on these inputs: as `Gpu.step` does, with the same bits, but replayed where it can be. Throws what the body
   *  throws, and Error for a tensor given twice, and when a rehearsal finds that earlier replays did not do what the body would have done. */
  run(...values: Given<In>): T {
    this.#gpu.steps.checkIdle()
    checkDistinct(values)
    this.#reason = null
    if (!this.#fits(values) || !this.#isOn)
      return this.#gpu.steps.run(() => this.#body(...this.#bind(values)))
    this.#load(values)
    if (this.#replay && !this.#replay.isCurrent())
      this.#forget('a variable or tensor that it uses has moved or gone')
    return this.#replay && this.#trace ? this.#again(this.#replay, this.#trace) : this.#traced()
  }

  /** Gives back the memory that replays hold; the next calls trace the step anew. */
  release() {
    this.#forget(null)
    this.#gpu.tensors.release(this.#inputs.filter(isTensor).filter((one) => !isVariable(one)))
    ;[this.#inputs, this.#kind, this.#last] = [[], null, null]
  }

  #forget(reason: string | null) {
    this.#replay?.release()
    this.#replay = this.#trace = null
    this.#reason = reason
  }

  /** Whether the inputs are like those that are traced. The first ever are, and so are others given twice in a row. */
  #fits(given: readonly Value[]): boolean {
    const kind = `${given.map((one) => this.#describe(one)).join(', ')}; ${textOf(this.#gpu.settings())}`
    const isRepeated = kind === this.#last
    this.#last = kind
    if (kind === this.#kind || !this.#isOn) return true
    if (this.#kind !== null && !isRepeated) {
      this.#reason = `its inputs or settings were ${this.#kind}, now ${kind}`
      return false
    }
    this.release()
    this.#inputs = given.map((one) => this.#inputLike(one))
    this.#kind = this.#last = kind
    return true
  }

  /** A tensor like this one, or the variable itself, to be traced with and to hold the values of every later call. */
  #inputLike(one: Value): Input {
    if (typeof one !== 'object' || isVariable(one)) return one
    if (!isTensor(one)) checkCount(one.values, one.shape)
    const dtype = isTensor(one) ? one.dtype : dtypeOf(one.values)
    const tensor = this.#gpu.tensors.alloc({ shape: one.shape, dtype })
    if (this.#isWanted(one)) this.#gpu.wanted.add(tensor)
    return tensor
  }

  /** Runs the step as any other and writes it down; what it did twice in a row will be replayed. */
  #traced(): T {
    const before = this.#trace
    const trace = new Trace(before)
    this.#trace = null
    const result = this.#gpu.steps.run(() => this.#body(...(this.#inputs as In)), trace) // #fits made them so
    const change = trace.obstacle ?? (before && difference(before, trace))
    this.#reason ??= change
    this.#trace = trace
    const wanted = listOf(result).map((t) => this.#gpu.wanted.has(t))
    this.#returned = { isList: Array.isArray(result), wanted }
    if (before && before.obstacle === null && change === null) this.#capture(trace)
    return result
  }

  #capture(trace: Trace) {
    const { memory, commands } = this.#gpu
    memory.drain() // what such steps took from the pool is not needed any more
    this.#replay = new Replay(trace, memory, commands)
    ;[this.#rehearsed, this.#interval] = [this.#replays, 1]
  }

  #again(replay: Replay, trace: Trace): T {
    const isDue = this.#replays - this.#rehearsed >= this.#interval
    const rehearsal = isDue ? this.#rehearse(replay, trace) : null
    this.#replays++
    const tensors = this.#gpu.steps.replay(() => {
      replay.run(rehearsal)
      const made = trace.outputs.map((output) => replay.output(output))
      const outputs = trace.outputs.map(({ tensor }, i) =>
        this.#output(tensor, made[i], this.#returned.wanted[i]),
      )
      return { outputs, made: made.filter((storage) => storage !== null) }
    })
    return (this.#returned.isList ? tensors : tensors[0]) as T // as the body returned when it was traced
  }

  /** What the step returned when it was traced, now on this storage; it carries no history. */
  #output(like: Tensor, storage: Storage | null | undefined, wanted = false): Tensor {
    if (!storage) return like
    const tensor = this.#gpu.tensors.on(storage, like)
    if (!wanted) return tensor
    this.#gpu.wanted.add(tensor)
    this.#gpu.tape.end(tensor)
    return tensor
  }

  /** Runs the step's JavaScript alone and compares what it would do with what is replayed. */
  #rehearse(replay: Replay, before: Trace): Trace {
    const trace = new Trace(before, true)
    try {
      this.#gpu.steps.rehearse(() => this.#body(...(this.#inputs as In)), trace, replay.standIn) // as in #traced
    } catch (error) {
      if (trace.obstacle === null) throw error
    }
    const change = trace.obstacle ?? difference(before, trace)
    const since = this.#replays - this.#rehearsed
    if (change !== null) this.#forget(null)
    if (change !== null)
      throw new Error(
        `captured step: ${change}. The last ${since} steps, which were replayed, may have been wrong`,
      )
    ;[this.#rehearsed, this.#interval] = [this.#replays, Math.min(OFTEN, 2 * this.#interval)]
    return trace
  }

  /** This call's tensors, for a step that runs as any other. */
  #bind(given: readonly Value[]): In {
    const bound = given.map((one) => {
      if (typeof one !== 'object' || isTensor(one)) return one
      const tensor = this.#gpu.tensors.upload(one.values, one.shape)
      if (this.#isWanted(one)) this.#gpu.wanted.add(tensor)
      return tensor
    })
    return bound as unknown as In // `Given` says what each is made from
  }

  /** Puts this call's values where the traced commands read them. */
  #load(given: readonly Value[]) {
    const { tensors } = this.#gpu
    for (const [i, input] of this.#inputs.entries()) {
      const one = given[i]
      if (input === one || typeof input !== 'object' || typeof one !== 'object') continue
      if (isTensor(one)) tensors.copy(one, input)
      else tensors.write(input, one.values)
    }
  }

  #describe(one: Value): string {
    if (typeof one !== 'object') return JSON.stringify(one)
    if (isVariable(one)) {
      const { block, offset } = this.#gpu.tensors.storage(one) // used in place: another one is another step
      return `the variable ${show(one.shape)} at ${block?.id}:${offset}`
    }
    const dtype = isTensor(one) ? one.dtype : dtypeOf(one.values)
    return `${dtype} ${show(one.shape)}${dtype === 'f32' && !this.#isWanted(one) ? ' (a constant)' : ''}`
  }

  #isWanted(one: Tensor | Upload): boolean {
    return isTensor(one) ? this.#gpu.wanted.has(one) : dtypeOf(one.values) === 'f32'
  }
}

const isVariable = (one: Value): one is Variable => isTensor(one) && 'mutable' in one

const isTensor = (one: Value): one is Tensor => typeof one === 'object' && 'gpu' in one

/** Plain values by name; functions are no settings. */
const textOf = (settings: object) =>
  Object.entries(settings)
    .filter(([, value]) => typeof value !== 'function')
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ')

/** Throws Error when one tensor is given twice: replays copy each input, so that a gradient would be of one of the two alone. */
function checkDistinct(values: readonly Value[]) {
  for (const [i, one] of values.entries()) {
    const first = values.indexOf(one)
    if (typeof one === 'object' && isTensor(one) && !isVariable(one) && first < i)
      throw new Error(
        `captured step: inputs ${first} and ${i} are the same tensor; give it once and use it twice in the body`,
      )
  }
}
