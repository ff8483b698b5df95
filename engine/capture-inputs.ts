// What a captured step is given: whether a call's inputs are like those that are traced, and where their values go.

import { type Tensor, type Values, type Variable, show } from '../kernels/op.ts'
import { describe } from '../kernels/options.ts'
import type { Tensors } from './tensors.ts'
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

type Value = Tensor | Upload | string | number | boolean

interface Machinery {
  readonly tensors: Tensors
  /** Tensors that a gradient may flow to. */
  readonly wanted: WeakSet<Tensor>
}

/** The inputs that a step is traced with, which hold the values of every later call. */
export class Inputs<In extends readonly Input[]> {
  readonly #gpu: Machinery
  #kind: string | null = null // of what is traced, settings included
  #last: string | null = null // of the last call
  #inputs: readonly Input[] = []

  constructor(gpu: Machinery) {
    this.#gpu = gpu
  }

  /** What the body is traced with. */
  get traced(): In {
    return this.#inputs as unknown as In // `admit` made each like what `Given` says
  }

  /** Null if inputs under these settings are like those that are traced, else how they differ. The first ever become those, and so do
   *  others given twice in a row, for which `onChange` is called first. */
  admit(given: readonly Value[], settings: object, onChange: () => void): string | null {
    const kind = `${given.map((one) => this.#describe(one)).join(', ')}; ${textOf(settings)}`
    const isRepeated = kind === this.#last
    this.#last = kind
    if (kind === this.#kind) return null
    if (this.#kind !== null && !isRepeated) return `its inputs or settings were ${this.#kind}, now ${kind}`
    onChange()
    this.release()
    this.#inputs = given.map((one) => this.#inputLike(one))
    this.#kind = this.#last = kind
    return null
  }

  /** Puts a call's values where the traced commands read them. */
  load(given: readonly Value[]) {
    const { tensors } = this.#gpu
    const safe = given.map((one, i) => this.#unlikeOthers(one, i))
    for (const [i, input] of this.#inputs.entries()) {
      const one = safe[i]
      if (input === one || typeof input !== 'object' || typeof one !== 'object') continue
      if (isTensor(one)) tensors.copy(one, input)
      else tensors.write(input, one.values)
    }
  }

  /** A call's own tensors, for a step that runs as any other. */
  bind(given: readonly Value[]): In {
    const { tensors } = this.#gpu
    const bound = given.map((one) => {
      if (typeof one !== 'object' || (isTensor(one) && isVariable(one))) return one
      const tensor = isTensor(one) ? tensors.view(one, one.shape) : tensors.upload(one.values, one.shape)
      if (this.#isWanted(one)) this.#gpu.wanted.add(tensor)
      return tensor
    })
    return bound as unknown as In // `Given` says what each is made from
  }

  /** Gives their memory back; the next call's become those that are traced. */
  release() {
    this.#gpu.tensors.release(this.#inputs.filter(isTensor).filter((one) => !isVariable(one)))
    ;[this.#inputs, this.#kind, this.#last] = [[], null, null]
  }

  /** A tensor like this one, or the variable itself, to be traced with and to hold the values of every later call. */
  #inputLike(one: Value): Input {
    if (typeof one !== 'object' || isVariable(one)) return one
    if (!isTensor(one)) checkCount(one.values, one.shape)
    const dtype = isTensor(one) ? one.dtype : dtypeOf(one.values)
    const { tensors } = this.#gpu
    const tensor = tensors.alloc({ shape: one.shape, dtype })
    if (this.#isWanted(one)) this.#gpu.wanted.add(tensor)
    if (!isTensor(one)) tensors.note(tensor, one.values)
    return tensor
  }

  /** A copy of a tensor that the body returned as one of its other inputs, and that another value is about to replace. */
  #unlikeOthers(one: Value | undefined, at: number): Value | undefined {
    const { tensors } = this.#gpu
    if (one === undefined || !isTensor(one) || isVariable(one)) return one
    const storage = tensors.storage(one)
    const isOther = (input: Input, i: number) =>
      i !== at && isTensor(input) && !isVariable(input) && tensors.storage(input) === storage
    if (!this.#inputs.some(isOther)) return one
    const copy = tensors.alloc({ shape: one.shape, dtype: one.dtype })
    tensors.copy(one, copy)
    return copy
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

/** Throws TypeError for an input that is none, and Error when one tensor is given twice: replays
 *  copy each input, so that a gradient would be of one of the two alone. */
export function checkDistinct(values: readonly Value[]) {
  for (const [i, one] of values.entries()) {
    if (!isValue(one))
      throw new TypeError(
        `captured step: input ${i} must be a tensor, { values, shape }, a string, a number or a flag, got ${describe(one)}`,
      )
    const first = values.indexOf(one)
    if (typeof one === 'object' && isTensor(one) && !isVariable(one) && first < i)
      throw new Error(
        `captured step: inputs ${first} and ${i} are the same tensor; give it once and use it twice in the body`,
      )
  }
}

function isValue(one: unknown): boolean {
  if (typeof one === 'string' || typeof one === 'number' || typeof one === 'boolean') return true
  if (typeof one !== 'object' || one === null) return false
  return 'shape' in one && ('gpu' in one || 'values' in one)
}
