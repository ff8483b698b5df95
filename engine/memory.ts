// GPU memory: buffers pooled by size, handed out in a fixed order so that the same step always gets the same buffers
// (which is what lets bind groups be cached), and taken back when a step ends.

import { GpuError, type Watch } from './errors.ts'
import { wholeWords } from './values.ts'

/** Buffer usages by number: the WebGPU globals exist in browsers but not in Node. */
export const USAGE = { MAP_READ: 0x1, COPY_SRC: 0x4, COPY_DST: 0x8, UNIFORM: 0x40, STORAGE: 0x80 } as const

const ALIGN = 256 // WebGPU's default alignment of a storage binding, in bytes
const PATIENCE = 64 // steps a pooled buffer may lie unused before it is given back to the driver

/** A buffer of ours. `id` orders the pool; `used` is the last command buffer that touches it. */
export interface Block {
  readonly id: number
  readonly buffer: GPUBuffer
  used: number
  idleSince: number
  /** How often it was written in place. */
  writes: number
}

/** The range of a block that one or more tensors share. `block` is null once it was reclaimed. */
export interface Storage {
  block: Block | null
  offset: number
  readonly bytes: number
  /** A variable's: no step takes it back. */
  readonly permanent: boolean
  /** Set so that moving to another block does not count as a write: see `version`. */
  bias: number
}

/** A range of a block, in whole words, as kernels are given it. */
export interface Binding {
  readonly block: Block
  readonly offset: number
  readonly bytes: number
}

/** Where a storage lies. Throws Error when it was taken back. */
export function bindingOf({ block, offset, bytes }: Storage): Binding {
  if (!block) throw new Error('a tensor was used after the step it was made in')
  return { block, offset, bytes: wholeWords(bytes) }
}

/** A number that grows when the storage is written in place. */
export const version = ({ block, bias }: Storage) => (block?.writes ?? 0) + bias

/** Creates, pools and destroys the buffers of one device. Sizes are in bytes. */
export class Memory {
  readonly #device: GPUDevice
  readonly #free = new Map<number, Block[]>() // by size, each list in ascending order of id
  readonly #all = new Set<Block>()
  readonly #shared = new WeakSet<Block>() // blocks that hold several variables
  readonly #collected: FinalizationRegistry<Block>
  readonly #onEvict: () => void
  readonly #watch: Watch
  readonly #lent = new WeakSet<Storage>() // on a block that is another storage's
  readonly #loans = new Map<Block, number>() // how many of these a block has
  readonly #owed = new Set<Block>() // to the pool, when the last of them ends
  #nextId = 0
  #bytes = 0
  #spare: Block | null = null // stands in for the memory of steps that are only written down
  #standIn: Block | null = null // while it does
  #stood: Storage[] = [] // for these
  #born: Storage[] | null = null

  /** `onEvict` is told when buffers were destroyed, so that nothing cached refers to them. */
  constructor(device: GPUDevice, watch: Watch, onEvict: () => void) {
    this.#device = device
    this.#watch = watch
    this.#onEvict = onEvict
    this.#collected = new FinalizationRegistry((block) => this.#giveBack(block))
  }

  /** Bytes of buffers alive now, pooled ones included. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many buffers were created. */
  get made(): number {
    return this.#nextId
  }

  /** Runs `body`, whose commands are not done, with one small block standing in for all that it allocates, unless `settle` is
   *  called in it. */
  standIn<T>(body: () => T): T {
    this.#standIn = this.#spare ??= this.#create(ALIGN)
    try {
      return body()
    } finally {
      this.#standIn = null
      this.#stood = []
    }
  }

  /** Whether a block stands in for this storage's memory. */
  standsInFor({ block }: Storage): boolean {
    return this.#standIn !== null && block === this.#standIn
  }

  /** Gives memory to all that is stood in for and was not released. */
  settle() {
    const living = this.#stood.filter((storage) => this.standsInFor(storage))
    ;[this.#standIn, this.#stood] = [null, []]
    for (const storage of living) this.revive(storage)
  }

  /** Gives memory to a storage that has none, or had none of its own. */
  revive(storage: Storage) {
    storage.block = this.#take(roundUp(storage.bytes), () => true)
  }

  /** Storage on memory that is another storage's, which goes back to the pool when both are released. */
  lend({ block, offset, bytes }: Binding): Storage {
    const storage: Storage = { block, offset, bytes, permanent: false, bias: 0 }
    this.#lent.add(storage)
    this.#loans.set(block, (this.#loans.get(block) ?? 0) + 1)
    return storage
  }

  /** Storage that dies with the innermost scope, or, outside any, when nothing refers to it any more. Of the pooled blocks
   *  only those that suit are taken. */
  alloc(bytes: number, suits: (block: Block) => boolean = () => true): Storage {
    const block = this.#standIn ?? this.#take(roundUp(bytes), suits)
    const storage: Storage = { block, offset: 0, bytes, permanent: false, bias: 0 }
    if (this.#standIn) this.#stood.push(storage)
    if (this.#born) this.#born.push(storage)
    else if (storage.block) this.#collected.register(storage, storage.block, storage)
    return storage
  }

  /** Storage that lives until `destroy`. */
  keep(bytes: number): Storage {
    return { block: this.#take(roundUp(bytes), () => true), offset: 0, bytes, permanent: true, bias: 0 }
  }

  /** Runs `body`; what it allocates dies after it, save the storages that `pick` finds in its result. Those pass to the
   *  enclosing scope, or, outside any, are also returned and live while something refers to them. */
  scope<T>(body: () => T, pick: (result: T) => readonly Storage[]): { result: T; kept: readonly Storage[] } {
    const outer = this.#born
    const born: Storage[] = (this.#born = [])
    let picked = new Set<Storage>()
    try {
      const result = body()
      picked = new Set(pick(result))
      return { result, kept: born.filter((storage) => picked.has(storage)) }
    } finally {
      this.#born = outer
      for (const storage of born) {
        if (!picked.has(storage)) this.release(storage)
        else if (outer) outer.push(storage)
        else if (storage.block) this.#collected.register(storage, storage.block, storage)
      }
    }
  }

  /** Takes a storage back, unless it is a variable's; tensors on it throw from now on. */
  release(storage: Storage) {
    if (!storage.block || storage.permanent) return
    this.#collected.unregister(storage)
    if (this.#lent.has(storage)) this.#endLoan(storage.block)
    else this.#giveBack(storage.block)
    storage.block = null
  }

  /** Puts a variable's storage, and with it every view of it, at `offset` bytes into `whole`; its own block goes back to
   *  the pool. The values are the caller's to copy, before anything else is dispatched. */
  move(storage: Storage, whole: Storage, offset: number) {
    const { block } = storage
    const before = version(storage)
    if (whole.block) this.#shared.add(whole.block)
    storage.block = whole.block
    storage.offset = offset
    storage.bias = before - (whole.block?.writes ?? 0)
    if (block && block !== whole.block && !this.#shared.has(block)) this.#recycle(block)
  }

  /** Destroys pooled buffers that no step has wanted for a while. Called once per step with its number. */
  trim(step: number) {
    let evicted = false
    for (const list of this.#free.values()) {
      for (let i = list.length - 1; i >= 0; i--) {
        const block = list[i]
        if (block === undefined) continue
        if (block.idleSince < 0) block.idleSince = step
        else if (step - block.idleSince > PATIENCE) {
          list.splice(i, 1)
          this.#destroy(block)
          evicted = true
        }
      }
    }
    if (evicted) this.#onEvict()
  }

  /** Destroys all pooled buffers. */
  drain() {
    for (const list of this.#free.values()) for (const block of list.splice(0)) this.#destroy(block)
    this.#onEvict()
  }

  destroy() {
    for (const block of this.#all) block.buffer.destroy()
    this.#all.clear()
    this.#free.clear()
    this.#bytes = 0
  }

  #take(size: number, suits: (block: Block) => boolean): Block {
    const list = this.#free.get(size) ?? []
    const at = list.findIndex(suits)
    const [block] = at < 0 ? [] : list.splice(at, 1)
    if (!block) return this.#create(size)
    block.idleSince = -1
    return block
  }

  #create(size: number): Block {
    const usage = USAGE.STORAGE | USAGE.UNIFORM | USAGE.COPY_SRC | USAGE.COPY_DST
    this.#device.pushErrorScope('out-of-memory')
    const buffer = this.#device.createBuffer({ label: `kindred ${size} B`, size, usage })
    const held = this.#bytes
    this.#watch(
      this.#device.popErrorScope().then((error) => {
        const told = `out of GPU memory: ${size} bytes more were asked for with ${held} in use; use a smaller batch or model`
        return error && new GpuError(told)
      }),
    )
    const block = { id: this.#nextId++, buffer, used: -1, idleSince: -1, writes: 0 }
    this.#all.add(block)
    this.#bytes += size
    return block
  }

  #giveBack(block: Block) {
    if (this.#loans.has(block)) this.#owed.add(block)
    else this.#recycle(block)
  }

  #endLoan(block: Block) {
    const others = (this.#loans.get(block) ?? 0) - 1
    if (others > 0) this.#loans.set(block, others)
    else this.#loans.delete(block)
    if (others <= 0 && this.#owed.delete(block)) this.#recycle(block)
  }

  #recycle(block: Block) {
    if (!this.#all.has(block) || block === this.#spare) return
    const size = block.buffer.size
    const list = this.#free.get(size)
    if (!list) {
      this.#free.set(size, [block])
      return
    }
    let at = list.length
    while (at > 0 && (list[at - 1]?.id ?? -1) > block.id) at--
    list.splice(at, 0, block)
  }

  #destroy(block: Block) {
    this.#all.delete(block)
    this.#bytes -= block.buffer.size
    block.buffer.destroy()
  }
}

const roundUp = (bytes: number) => Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN)
