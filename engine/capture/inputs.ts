// The inputs of a captured step. Compares those of a call with the recorded ones, and copies their
// values to where the recorded commands read them.

import { type Numbers, numbersOf } from '../../kernels/numbers.ts'
import { type Shape, type Tensor, type Values, type Variable, show } from '../../kernels/op.ts'
import { describe, isTensor as anyTensor } from '../../kernels/options.ts'
import type { Tensors } from '../tensors.ts'

/** Numbers for one call of a captured step. They are copied to the GPU where its body reads its
 *  tensor. */
export interface Upload {
  /** Numbers as `Gpu.tensor` takes them; their kind decides the dtype. */
  readonly values: Values
  /** Shape of the tensor; by default that of the values. */
  readonly shape?: Shape
}

/** An input of a captured step's body: a tensor that holds this call's values, a variable, or a
 *  setting. With another variable or setting, the step is another one and is recorded anew. */
export type Input = Tensor | string | number | boolean

/** The arguments of `Captured.run`, one for each argument of the body. A tensor of the body is
 *  given as a tensor or as an `Upload`, anything else as it is. */
export type Given<In extends readonly Input[]> = {
  [I in keyof In]: In[I] extends Tensor ? Tensor | Upload : In[I]
}

/** An argument after its numbers were converted. */
export type Value = Tensor | Numbers | string | number | boolean

interface Machinery {
  readonly tensors: Tensors
  /** Tensors that require a gradient. */
  readonly requiresGrad: WeakSet<Tensor>
}

/** The inputs that a step is recorded with. They hold the values of every later call. */
export class Inputs<In extends readonly Input[]> {
  readonly #gpu: Machinery
  #signature: string | null = null // of the recorded inputs, settings included
  #last: string | null = null // of the last call's
  #inputs: readonly Input[] = []

  constructor(gpu: Machinery) {
    this.#gpu = gpu
  }

  /** The inputs that the body is recorded with. */
  get traced(): In {
    return this.#inputs as unknown as In // `admit` made each as `Given` says
  }

  /** Compares the inputs with the recorded ones; returns null, or how they differ. Different inputs
   *  seen twice in a row replace the recorded ones, after `onChange`. */
  admit(given: readonly Value[], settings: object, onChange: () => void): string | null {
    const signature = `${given.map((one) => this.#describe(one)).join(', ')}; ${textOf(settings)}`
    const isRepeated = signature === this.#last
    this.#last = signature
    if (signature === this.#signature && this.#isAlive()) return null
    if (this.#signature !== null && signature !== this.#signature && !isRepeated)
      return `its inputs or settings were ${this.#signature}, now ${signature}`
    onChange()
    this.release()
    this.#inputs = given.map((one) => this.#inputLike(one))
    this.#signature = this.#last = signature
    return null
  }

  /** Copies a call's values into the buffers that the recorded commands read. */
  load(given: readonly Value[]) {
    const { tensors } = this.#gpu
    const safe = given.map((one, i) => this.#withoutAliases(one, i))
    for (const [i, input] of this.#inputs.entries()) {
      const one = safe[i]
      if (input === one || typeof input !== 'object' || typeof one !== 'object') continue
      if (isTensor(one)) tensors.copy(one, input)
      else tensors.store(input, one)
    }
  }

  /** Makes tensors of a call's own values, for a step that is not recorded. */
  bind(given: readonly Value[]): In {
    const { tensors } = this.#gpu
    const bound = given.map((one) => {
      if (typeof one !== 'object' || (isTensor(one) && isVariable(one))) return one
      const tensor = isTensor(one) ? tensors.view(one, one.shape) : tensors.fromNumbers(one)
      if (this.#requiresGrad(one)) this.#gpu.requiresGrad.add(tensor)
      return tensor
    })
    return bound as unknown as In // each is made as `Given` says
  }

  /** Frees the recorded inputs; the next call's become the recorded ones. */
  release() {
    this.#gpu.tensors.release(this.#inputs.filter(isTensor).filter((one) => !isVariable(one)))
    this.#inputs = []
    this.#signature = null
    this.#last = null
  }

  /** Makes the recorded input for this one: a tensor that will hold the values of every later call,
   *  or the variable itself. */
  #inputLike(one: Value): Input {
    if (typeof one !== 'object' || isVariable(one)) return one
    const { tensors } = this.#gpu
    const tensor = tensors.alloc({ shape: one.shape, dtype: one.dtype })
    if (this.#requiresGrad(one)) this.#gpu.requiresGrad.add(tensor)
    if (!isTensor(one)) tensors.noteLargest(tensor, one.data)
    return tensor
  }

  /** Copies a tensor that shares memory with another recorded input, since `load` is about to
   *  overwrite that memory. */
  #withoutAliases(one: Value | undefined, at: number): Value | undefined {
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
      // used in place, so its address counts
      const { block, offset } = this.#gpu.tensors.storage(one)
      return `the variable ${show(one.shape)} at ${block?.id}:${offset}`
    }
    const { dtype, shape } = one
    return `${dtype} ${show(shape)}${dtype === 'f32' && !this.#requiresGrad(one) ? ' (a constant)' : ''}`
  }

  /** Tells whether no recorded input was freed. After that another variable may lie at the same
   *  address. */
  #isAlive(): boolean {
    const tensors = this.#inputs.filter(isTensor)
    return this.#gpu.tensors.storagesAlive(tensors).length === tensors.length
  }

  #requiresGrad(one: Tensor | Numbers): boolean {
    return isTensor(one) ? this.#gpu.requiresGrad.has(one) : one.dtype === 'f32'
  }
}

const isVariable = (one: Value): one is Variable => isTensor(one) && 'mutable' in one

const isTensor = (one: Value): one is Tensor => typeof one === 'object' && 'gpu' in one

/** Prints the settings that are plain values; functions are none. */
const textOf = (settings: object) =>
  Object.entries(settings)
    .filter(([, value]) => typeof value !== 'function')
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ')

/** Converts the numbers among the arguments of a call. Throws like `Gpu.tensor`, and TypeError for
 *  anything that is not an input. */
export function received(given: readonly (Value | Upload)[]): readonly Value[] {
  return given.map((one: unknown, i): Value => {
    if (typeof one === 'string' || typeof one === 'number' || typeof one === 'boolean') return one
    if (typeof one === 'object' && one !== null) {
      if (anyTensor(one)) return one as Tensor // it has a tensor's members
      if ('values' in one && typeof one.values !== 'function')
        return numbersOf('tensor', one.values, 'shape' in one ? one.shape : undefined)
    }
    throw new TypeError(
      `captured step: input ${i} must be a tensor, { values, shape }, a string, number or boolean, got ${describe(one)}`,
    )
  })
}

/** Throws Error when one tensor is given twice. Replays copy each input, so a gradient would be of
 *  one of the two alone. */
export function checkDistinct(values: readonly Value[]) {
  for (const [i, one] of values.entries()) {
    const first = values.indexOf(one)
    if (typeof one === 'object' && isTensor(one) && !isVariable(one) && first < i)
      throw new Error(
        `captured step: inputs ${first} and ${i} are the same tensor; give it once and use it twice in the body`,
      )
  }
}
