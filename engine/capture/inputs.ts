// The inputs of a captured step. Copies those of a call to where the recorded commands read them.

import { type Numbers, numbersOf } from '../../kernels/numbers.ts'
import { type Shape, type Tensor, type Values, type Variable, show } from '../../kernels/op.ts'
import { describe, isTensor as anyTensor } from '../../kernels/options.ts'
import type { Storage } from '../memory.ts'
import type { Tensors } from '../tensors.ts'

/** Numbers for one call of a captured step. They are copied to the GPU where its body reads its
 *  tensor. */
export interface Upload {
  /** Numbers as `Gpu.tensor` takes them; their kind decides the dtype. */
  readonly values: Values
  /** Shape of the tensor; by default that of the values. */
  readonly shape?: Shape
}

/** An input of a captured step's body: a tensor that holds this call's values, a variable, a
 *  setting, or nothing, for one that is left out. With another variable or setting, the step is
 *  another one, which is recorded by itself. */
export type Input = Tensor | string | number | boolean | null | undefined

/** The arguments of `Captured.run`, one for each argument of the body. A tensor of the body is
 *  given as a tensor or as an `Upload`, anything else as it is. */
export type Given<In extends readonly Input[]> = { [I in keyof In]: GivenFor<In[I]> }

type GivenFor<One> = One extends Tensor ? Tensor | Upload : One

/** An argument after its numbers were converted. */
export type Value = Exclude<Input, Tensor> | Tensor | Numbers

interface Machinery {
  readonly tensors: Tensors
  /** Tensors that require a gradient. */
  readonly requiresGrad: WeakSet<Tensor>
}

/** The inputs that a step is recorded with. They hold the values of every later call. */
export class Inputs<In extends readonly Input[]> {
  readonly #gpu: Machinery
  readonly #inputs: readonly Input[]
  readonly #places: readonly string[] // of the tensors among them

  /** Makes inputs like these. */
  constructor(gpu: Machinery, like: readonly Value[]) {
    this.#gpu = gpu
    this.#inputs = like.map((one) => this.#inputLike(one))
    this.#places = this.#inputs.map((one) => this.#place(one))
  }

  /** The inputs that the body is recorded with. */
  get traced(): In {
    return this.#inputs as unknown as In // `#inputLike` made each as `Given` says
  }

  /** Tells whether every tensor among the inputs is where it was. If not, no call has these inputs
   *  again: another variable may even lie at the same address. */
  isCurrent(): boolean {
    return this.#inputs.every((one, i) => this.#place(one) === this.#places[i])
  }

  /** Copies a call's values into the buffers that the recorded commands read. */
  load(given: readonly Value[]) {
    const { tensors } = this.#gpu
    const safe = given.map((one, i) => this.#withoutAliases(one, i))
    for (const [i, input] of this.#inputs.entries()) {
      const one = safe[i]
      if (input === one || !isObject(input) || !isObject(one)) continue
      if (!isTensor(one)) tensors.store(input, one)
      else if (tensors.storage(one) !== tensors.storage(input)) tensors.copy(one, input)
    }
  }

  /** Frees the inputs, except variables. */
  release() {
    this.#gpu.tensors.release(this.#inputs.filter(isTensor).filter((one) => !isVariable(one)))
  }

  /** Makes the recorded input for this one: a tensor that will hold the values of every later call,
   *  or the variable itself. */
  #inputLike(one: Value): Input {
    if (!isObject(one) || isVariable(one)) return one
    const { tensors } = this.#gpu
    const tensor = tensors.alloc({ shape: one.shape, dtype: one.dtype })
    if (requiresGrad(this.#gpu, one)) this.#gpu.requiresGrad.add(tensor)
    if (!isTensor(one)) tensors.noteLargest(tensor, one.data)
    return tensor
  }

  #place(one: Input): string {
    if (!isTensor(one)) return ''
    const [storage] = this.#gpu.tensors.storagesAlive([one])
    return storage ? addressOf(storage) : 'gone'
  }

  /** Copies a tensor that shares memory with another recorded input, since `load` is about to
   *  overwrite that memory. */
  #withoutAliases(one: Value, at: number): Value {
    const { tensors } = this.#gpu
    if (!isTensor(one) || isVariable(one)) return one
    const storage = tensors.storage(one)
    const isOther = (input: Input, i: number) =>
      i !== at && isTensor(input) && !isVariable(input) && tensors.storage(input) === storage
    if (!this.#inputs.some(isOther)) return one
    const copy = tensors.alloc({ shape: one.shape, dtype: one.dtype })
    tensors.copy(one, copy)
    return copy
  }
}

/** Makes tensors of a call's own values, for a step that is not recorded. */
export function bindInputs(gpu: Machinery, given: readonly Value[]): Input[] {
  const { tensors } = gpu
  return given.map((one): Input => {
    if (!isObject(one) || isVariable(one)) return one
    const tensor = isTensor(one) ? tensors.view(one, one.shape) : tensors.fromNumbers(one)
    if (requiresGrad(gpu, one)) gpu.requiresGrad.add(tensor)
    return tensor
  })
}

/** Prints an input as far as it decides which commands a step gives. */
export function describeInput(gpu: Machinery, one: Value): string {
  if (typeof one === 'string') return JSON.stringify(one)
  if (!isObject(one)) return Object.is(one, -0) ? '-0' : String(one)
  if (isVariable(one))
    // used in place, so its address counts
    return `the variable ${show(one.shape)} at ${addressOf(gpu.tensors.storage(one))}`
  const { dtype, shape } = one
  return `${dtype} ${show(shape)}${dtype === 'f32' && !requiresGrad(gpu, one) ? ' (a constant)' : ''}`
}

const addressOf = ({ block, offset }: Storage) => `${block?.id}:${offset}`

const requiresGrad = (gpu: Machinery, one: Tensor | Numbers): boolean =>
  isTensor(one) ? gpu.requiresGrad.has(one) : one.dtype === 'f32'

const isObject = (one: Value): one is Tensor | Numbers => typeof one === 'object' && one !== null

const isTensor = (one: Value): one is Tensor => isObject(one) && 'gpu' in one

const isVariable = (one: Value): one is Variable => isTensor(one) && 'mutable' in one

/** Converts the numbers among the arguments of a call, without those left out at the end. Throws
 *  like `Gpu.tensor`, and TypeError for anything that is not an input. */
export function received(given: readonly (Value | Upload)[]): readonly Value[] {
  const end = given.findLastIndex((one) => one !== undefined) + 1
  return given.slice(0, end).map((one: unknown, i): Value => {
    if (one === null) return one
    if (typeof one === 'string' || typeof one === 'number' || typeof one === 'boolean') return one
    if (typeof one === 'object') {
      if (anyTensor(one)) return one as Tensor // it has a tensor's members
      if ('values' in one && typeof one.values !== 'function')
        return numbersOf('tensor', one.values, 'shape' in one ? one.shape : undefined)
    }
    throw new TypeError(
      `captured step: input ${i} must be a tensor, { values, shape }, a string, number or boolean, got ${describe(one)}${one === undefined ? '; null leaves an input out' : ''}`,
    )
  })
}

/** Throws Error when one tensor is given twice. Replays copy each input, so a gradient would be of
 *  one of the two alone. */
export function checkDistinct(values: readonly Value[]) {
  for (const [i, one] of values.entries()) {
    const first = values.indexOf(one)
    if (isTensor(one) && !isVariable(one) && first < i)
      throw new Error(
        `captured step: inputs ${first} and ${i} are the same tensor; give it once and use it twice in the body`,
      )
  }
}
