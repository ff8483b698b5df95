// Makes, views, writes and frees tensors, and finds the memory of each.

import { type Numbers, numbersOf } from '../kernels/numbers.ts'
import {
  type Make,
  type Machine,
  type Shape,
  type Tensor,
  type Values,
  type Variable,
  ShapeError,
  show,
  sizeOf,
} from '../kernels/op.ts'
import { checkTensor, checkValue } from '../kernels/options.ts'
import type { Commands } from './commands.ts'
import { rules } from './gpu-rules.ts'
import { PrintedTensor, PrintedVariable } from './inspect.ts'
import { type Memory, type Storage, versionOf } from './memory.ts'
import { byteSize, largestOf, pack } from './values.ts'

/** The tensors of one Gpu. */
export class Tensors {
  readonly #gpu: Machine
  readonly #memory: Memory
  readonly #commands: Commands
  readonly #maxBytes: () => number
  readonly #storages = new WeakMap<Tensor, Storage>()
  readonly #largestOf = new WeakMap<Tensor, number>()

  /** `maxBytes` returns the size of the largest tensor. */
  constructor(gpu: Machine, memory: Memory, commands: Commands, maxBytes: () => number) {
    this.#gpu = gpu
    this.#memory = memory
    this.#commands = commands
    this.#maxBytes = maxBytes
  }

  /** Makes a tensor that holds garbage. */
  alloc(make: Make): Tensor {
    const { shape, dtype } = 'dtype' in make ? make : { shape: make, dtype: 'f32' as const }
    const bytes = byteSize(dtype, shape)
    this.#checkSize(shape, bytes)
    const t = new PrintedTensor(shape, dtype, this.#gpu)
    this.#storages.set(t, this.#memory.alloc(bytes))
    return t
  }

  /** Makes a tensor that holds values, of this shape or their own. */
  upload(values: Values, given?: Shape): Tensor {
    return this.fromNumbers(numbersOf('tensor', values, given))
  }

  /** Makes a tensor that holds these numbers. */
  fromNumbers(numbers: Numbers): Tensor {
    const { shape, dtype } = numbers
    const bytes = byteSize(dtype, shape)
    this.#checkSize(shape, bytes)
    // writing a block that pending commands use would submit them first
    const storage = this.#memory.alloc(bytes, (block) => !this.#commands.isPending(block))
    const t = new PrintedTensor(shape, dtype, this.#gpu)
    this.#storages.set(t, storage)
    this.#commands.write(storage, pack(numbers))
    this.noteLargest(t, numbers.data)
    return t
  }

  /** Makes a variable that holds values, of this shape or their own. */
  variable(values: Values, given?: Shape): Variable {
    const numbers = numbersOf('variable', values, given)
    const { shape, dtype } = numbers
    const bytes = byteSize(dtype, shape)
    this.#checkSize(shape, bytes)
    const variable = this.variableOn(this.#memory.allocVariable(bytes), { shape, dtype })
    this.store(variable, numbers)
    this.noteLargest(variable, numbers.data)
    return variable
  }

  /** Overwrites a variable; values are converted to its dtype. */
  write(variable: Variable, values: Values) {
    const { shape, dtype } = checkValue('Gpu.write', 'variable', variable, rules.variable)
    if (dtype === 'f16')
      throw new ShapeError(`write: a variable must be f32, i32 or u8, got f16 ${show(shape)}`)
    this.store(variable, numbersOf('write', values, shape, dtype))
  }

  /** Overwrites a tensor with numbers of its dtype. */
  store(t: Tensor, numbers: Numbers) {
    this.#commands.write(this.storage(t), pack(numbers))
  }

  /** Notes the largest of a sample of the values of f32 images [N, H, W, 3], since ops cannot see
   *  their range. */
  noteLargest(t: Tensor, values: Numbers['data']) {
    if (t.dtype === 'f32' && t.shape.length === 4 && t.shape[3] === 3)
      this.#largestOf.set(t, largestOf(values))
  }

  /** Returns the value that `noteLargest` noted. */
  largest(t: Tensor): number | undefined {
    return this.#largestOf.get(t)
  }

  /** Makes a tensor of another shape on the memory of x. */
  view(x: Tensor, shape: Shape): Tensor {
    return this.onStorage(this.storage(x), { shape, dtype: x.dtype })
  }

  /** Makes a tensor on a storage that exists. */
  onStorage(storage: Storage, { shape, dtype }: Pick<Tensor, 'shape' | 'dtype'>): Tensor {
    const t = new PrintedTensor(shape, dtype, this.#gpu)
    this.#storages.set(t, storage)
    return t
  }

  /** Makes a variable on a storage that exists. */
  variableOn(storage: Storage, { shape, dtype }: Pick<Tensor, 'shape' | 'dtype'>): Variable {
    const variable = new PrintedVariable(shape, dtype, this.#gpu)
    this.#storages.set(variable, storage)
    return variable
  }

  copy(from: Tensor, to: Tensor) {
    this.#commands.copy(this.storage(from), this.storage(to))
  }

  /** Copies those tensors of `reads` that lie in a buffer of `updates`: WebGPU lets no kernel read
   *  a buffer that it writes elsewhere. Returns all, and the copies, which are to be released. */
  apartFrom(updates: readonly Tensor[], reads: readonly Tensor[]) {
    const written = new Set(updates.map((t) => this.storage(t).block))
    const made: Tensor[] = []
    const apart = reads.map((t) => {
      if (!written.has(this.storage(t).block)) return t
      const copy = this.alloc(t)
      this.copy(t, copy)
      made.push(copy)
      return copy
    })
    return { reads: apart, made }
  }

  /** Frees tensors now. */
  release(tensors: readonly Tensor[]) {
    for (const storage of this.storagesAlive(tensors)) this.#memory.release(storage)
  }

  /** Moves a variable and its values to `offset` bytes in another one's memory. */
  move(variable: Variable, whole: Variable, offset: number) {
    const [from, to] = [this.storage(variable), this.storage(whole)]
    this.#commands.copy(from, to, offset)
    this.#memory.move(from, to, offset)
  }

  /** Implements `Gpu.flatten`. */
  flatten(variables: readonly Variable[]): { flat: Variable; offsets: readonly number[] } {
    this.#commands.trace?.refuse('variables were moved in the step; make optimizers outside of it')
    checkValue('Gpu.flatten', 'variables', variables, rules.variables)
    for (const storage of this.storages(variables))
      // throws for a freed one, before any is moved
      if (this.#memory.isWrapped(storage))
        throw new Error(
          "Gpu.flatten: a variable in an app's buffer cannot be moved; train a variable of gpu.variable, and assign it to the app's after each step",
        )
    const offsets: number[] = []
    let count = 0
    for (const v of variables) {
      offsets.push(count)
      count += Math.ceil(sizeOf(v.shape) / 64) * 64
    }
    const flat = this.variable(new Float32Array(count), [count])
    for (const [i, v] of variables.entries()) this.move(v, flat, (offsets[i] ?? 0) * 4)
    this.#commands.flush()
    return { flat, offsets }
  }

  /** Counts a write of each variable, which is about to be written in place. */
  countWrites(variables: readonly Variable[]) {
    for (const variable of variables) {
      const { block } = this.storage(variable)
      if (block) block.writes++
    }
  }

  /** Returns a function that finds a tensor written since now, among those in variables' memory, or
   *  returns null. It throws Error for a freed one. */
  watch(tensors: readonly Tensor[]): () => Tensor | null {
    const seen = tensors.flatMap((tensor) => {
      const storage = this.storage(tensor)
      return storage.permanent ? [{ tensor, storage, before: versionOf(storage) }] : []
    })
    return () => {
      for (const { tensor, storage, before } of seen) {
        this.storage(tensor) // throws if it was freed
        if (versionOf(storage) !== before) return tensor
      }
      return null
    }
  }

  /** Tells whether a variable still lies in the memory of `whole`. */
  isWithin(variable: Variable, whole: Variable): boolean {
    checkTensor('Gpu.isWithin', 'variable', variable)
    checkTensor('Gpu.isWithin', 'flat', whole)
    return this.storage(variable).block === this.storage(whole).block
  }

  /** Returns the memory of a tensor. Throws Error for another Gpu's tensor, or a freed one. */
  storage(t: Tensor): Storage {
    const storage = this.#storages.get(t)
    if (!storage) throw new Error(`a tensor ${show(t.shape)} belongs to another Gpu`)
    if (!storage.block)
      throw new Error(
        `a ${'mutable' in t ? 'variable' : 'tensor'} ${show(t.shape)} was used after ${storage.end}`,
      )
    return storage
  }

  /** Throws Error for a tensor of another Gpu. */
  checkOwn(tensors: Iterable<Tensor>) {
    for (const t of tensors)
      if (!this.#storages.has(t))
        throw new Error(`a tensor ${show(t.shape)} belongs to another Gpu`)
  }

  /** Returns the memory of those tensors that are this Gpu's and not freed. */
  storagesAlive(tensors: Iterable<Tensor>): Storage[] {
    return [...tensors].flatMap((t) => {
      const storage = this.#storages.get(t)
      return storage?.block ? [storage] : []
    })
  }

  /** Returns the memory of the tensors that are not null. Throws like `storage`. */
  storages(tensors: readonly (Tensor | null)[]): Storage[] {
    return tensors.flatMap((t) => (t ? [this.storage(t)] : []))
  }

  #checkSize(shape: Shape, bytes: number) {
    const most = this.#maxBytes()
    if (bytes > most)
      throw new Error(
        `a tensor ${show(shape)} needs ${bytes} bytes and this adapter binds at most ${most}; use a smaller batch`,
      )
  }
}
