// Tensors and the memory behind them: making, viewing, writing and finding it again.

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
import { type Memory, type Storage, version } from './memory.ts'
import { byteSize, largestOf, pack } from './values.ts'

/** The tensors of one Gpu. */
export class Tensors {
  readonly #gpu: Machine
  readonly #memory: Memory
  readonly #commands: Commands
  readonly #largest: number
  readonly #storages = new WeakMap<Tensor, Storage>()
  readonly #largestOf = new WeakMap<Tensor, number>()

  /** `largest` is the most bytes that one binding may have. */
  constructor(gpu: Machine, memory: Memory, commands: Commands, largest: number) {
    this.#gpu = gpu
    this.#memory = memory
    this.#commands = commands
    this.#largest = largest
  }

  /** A tensor that holds garbage. */
  alloc(make: Make): Tensor {
    const { shape, dtype } = 'dtype' in make ? make : { shape: make, dtype: 'f32' as const }
    const bytes = byteSize(dtype, shape)
    this.#checkSize(shape, bytes)
    const t = new PrintedTensor(shape, dtype, this.#gpu)
    this.#storages.set(t, this.#memory.alloc(bytes))
    return t
  }

  /** A tensor that holds values, of this shape or of the one that they have. */
  upload(values: Values, given?: Shape): Tensor {
    return this.place(numbersOf('tensor', values, given))
  }

  /** A tensor that holds these numbers. */
  place(numbers: Numbers): Tensor {
    const { shape, dtype } = numbers
    const bytes = byteSize(dtype, shape)
    this.#checkSize(shape, bytes)
    // a block that waiting commands use could not be written before they are submitted
    const storage = this.#memory.alloc(bytes, (block) => !this.#commands.isWaiting(block))
    const t = new PrintedTensor(shape, dtype, this.#gpu)
    this.#storages.set(t, storage)
    this.#commands.write(storage, pack(numbers))
    this.note(t, numbers.data)
    return t
  }

  variable(values: Values, given?: Shape): Variable {
    const numbers = numbersOf('variable', values, given)
    const { shape, dtype } = numbers
    const bytes = byteSize(dtype, shape)
    this.#checkSize(shape, bytes)
    const variable = new PrintedVariable(shape, dtype, this.#gpu)
    this.#storages.set(variable, this.#memory.keep(bytes))
    this.store(variable, numbers)
    this.note(variable, numbers.data)
    return variable
  }

  /** Overwrites a variable, whose dtype the values are converted to. */
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

  /** Remembers the largest of a sample of the values of f32 images [N, H, W, 3], whose range ops
   *  cannot see. */
  note(t: Tensor, values: Numbers['data']) {
    if (t.dtype === 'f32' && t.shape.length === 4 && t.shape[3] === 3)
      this.#largestOf.set(t, largestOf(values))
  }

  /** What `note` remembers. */
  largest(t: Tensor): number | undefined {
    return this.#largestOf.get(t)
  }

  view(x: Tensor, shape: Shape): Tensor {
    return this.on(this.storage(x), { shape, dtype: x.dtype })
  }

  /** A tensor on memory that there is already. */
  on(storage: Storage, { shape, dtype }: Pick<Tensor, 'shape' | 'dtype'>): Tensor {
    const t = new PrintedTensor(shape, dtype, this.#gpu)
    this.#storages.set(t, storage)
    return t
  }

  copy(from: Tensor, to: Tensor) {
    this.#commands.copy(this.storage(from), this.storage(to))
  }

  /** Takes the memory of tensors back before its time. */
  release(tensors: readonly Tensor[]) {
    for (const storage of this.living(tensors)) this.#memory.release(storage)
  }

  /** Puts a variable, values and all, at `offset` bytes of another one's memory. */
  move(variable: Variable, whole: Variable, offset: number) {
    const [from, to] = [this.storage(variable), this.storage(whole)]
    this.#commands.copy(from, to, offset)
    this.#memory.move(from, to, offset)
  }

  /** Moves variables into one flat one, in order, each aligned to 256 bytes, and tells each one's
   *  offset in elements. */
  flatten(variables: readonly Variable[]): { flat: Variable; offsets: readonly number[] } {
    this.#commands.trace?.refuse('variables were moved in the step; make optimizers outside of it')
    checkValue('Gpu.flatten', 'variables', variables, rules.variables)
    this.storages(variables) // throws for one that is gone, before any is moved
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

  /** Takes note that variables are about to be written in place. */
  touch(variables: readonly Variable[]) {
    for (const variable of variables) {
      const { block } = this.storage(variable)
      if (block) block.writes++
    }
  }

  /** A function that tells which of the tensors, of those in a variable's memory, was written since
   *  now; null if none was. It throws Error for one that was freed. */
  watch(tensors: readonly Tensor[]): () => Tensor | null {
    const seen = tensors.flatMap((tensor) => {
      const storage = this.storage(tensor)
      return storage.permanent ? [{ tensor, storage, before: version(storage) }] : []
    })
    return () => {
      for (const { tensor, storage, before } of seen) {
        this.storage(tensor) // throws for one that was freed
        if (version(storage) !== before) return tensor
      }
      return null
    }
  }

  /** Whether a variable still lies in the memory of `whole`. */
  isWithin(variable: Variable, whole: Variable): boolean {
    checkTensor('Gpu.isWithin', 'variable', variable)
    checkTensor('Gpu.isWithin', 'flat', whole)
    return this.storage(variable).block === this.storage(whole).block
  }

  /** The memory of a tensor. Throws Error when it belongs to another Gpu or its step has ended. */
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

  /** The memory of those that are this Gpu's and have any. */
  living(tensors: Iterable<Tensor>): Storage[] {
    return [...tensors].flatMap((t) => {
      const storage = this.#storages.get(t)
      return storage?.block ? [storage] : []
    })
  }

  storages(tensors: readonly (Tensor | null)[]): Storage[] {
    return tensors.flatMap((t) => (t ? [this.storage(t)] : []))
  }

  #checkSize(shape: Shape, bytes: number) {
    if (bytes > this.#largest)
      throw new Error(
        `a tensor ${show(shape)} needs ${bytes} bytes and this adapter binds at most ${this.#largest}; use a smaller batch`,
      )
  }
}
