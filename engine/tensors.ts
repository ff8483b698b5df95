// Tensors and the memory behind them: making, viewing, writing and finding it again.

import {
  type Make,
  type Machine,
  type Shape,
  type Tensor,
  type Values,
  type Variable,
  show,
  sizeOf,
} from '../kernels/op.ts'
import type { Commands } from './commands.ts'
import { PrintedTensor, PrintedVariable } from './inspect.ts'
import { type Memory, type Storage, version } from './memory.ts'
import { byteSize, checkCount, dtypeOf, largestOf, pack } from './values.ts'

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

  upload(values: Values, shape: Shape): Tensor {
    checkCount(values, shape)
    const dtype = dtypeOf(values)
    const bytes = byteSize(dtype, shape)
    this.#checkSize(shape, bytes)
    // a block that waiting commands use could not be written before they are submitted
    const storage = this.#memory.alloc(bytes, (block) => !this.#commands.isWaiting(block))
    const t = new PrintedTensor(shape, dtype, this.#gpu)
    this.#storages.set(t, storage)
    this.#commands.write(storage, pack(values, dtype))
    this.note(t, values)
    return t
  }

  variable(values: Values, shape: Shape): Variable {
    checkCount(values, shape)
    const dtype = dtypeOf(values)
    const bytes = byteSize(dtype, shape)
    this.#checkSize(shape, bytes)
    const variable = new PrintedVariable(shape, dtype, this.#gpu)
    this.#storages.set(variable, this.#memory.keep(bytes))
    this.write(variable, values)
    this.note(variable, values)
    return variable
  }

  write(variable: Tensor, values: Values) {
    checkCount(values, variable.shape)
    this.#commands.write(this.storage(variable), pack(values, variable.dtype))
  }

  /** Remembers the largest of a sample of the values of f32 images [N, H, W, 3], whose range ops
   *  cannot see. */
  note(t: Tensor, values: Values) {
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
    for (const storage of this.storages(tensors)) this.#memory.release(storage)
  }

  /** Puts a variable, values and all, at `offset` bytes of another one's memory. */
  move(variable: Variable, whole: Variable, offset: number) {
    const [from, to] = [this.storage(variable), this.storage(whole)]
    this.#commands.copy(from, to, offset)
    this.#memory.move(from, to, offset)
  }

  /** Moves variables into one flat one, in order, each aligned to 256 bytes, and tells each one's offset in elements. */
  flatten(variables: readonly Variable[]): { flat: Variable; offsets: readonly number[] } {
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

  /** A function that tells which of the tensors, of those in a variable's memory, was written since now; null if none was. */
  watch(tensors: readonly Tensor[]): () => Tensor | null {
    const seen = tensors.flatMap((tensor) => {
      const storage = this.storage(tensor)
      return storage.permanent ? [{ tensor, storage, before: version(storage) }] : []
    })
    return () => seen.find(({ storage, before }) => version(storage) !== before)?.tensor ?? null
  }

  /** Whether a variable still lies in the memory of `whole`. */
  isWithin(variable: Variable, whole: Variable): boolean {
    return this.storage(variable).block === this.storage(whole).block
  }

  /** The memory of a tensor. Throws Error when it belongs to another Gpu or its step has ended. */
  storage(t: Tensor): Storage {
    const storage = this.#storages.get(t)
    if (!storage) throw new Error(`a tensor ${show(t.shape)} belongs to another Gpu`)
    if (!storage.block) throw new Error(`a tensor ${show(t.shape)} was used after the step it was made in`)
    return storage
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
