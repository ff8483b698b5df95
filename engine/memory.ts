// GPU memory: which storage has which block, and for how long. Blocks come from a pool
// (memory/pool.ts). A storage is freed with its scope (memory/scopes.ts), with its captured step
// (memory/loans.ts), or when nothing refers to it.

import type { Watch } from './errors.ts'
import { Loans } from './memory/loans.ts'
import { Placeholder } from './memory/placeholder.ts'
import { type Discard, Pool } from './memory/pool.ts'
import { Pressure } from './memory/pressure.ts'
import { Scopes } from './memory/scopes.ts'
import {
  type Binding,
  type Block,
  type End,
  type Storage,
  storageOn,
  versionOf,
} from './memory/storage.ts'

export { USAGE } from './memory/usages.ts'
export {
  type Binding,
  type Block,
  type Storage,
  bindingOf,
  needing,
  versionOf,
} from './memory/storage.ts'

/** The memory of one device. Sizes are in bytes. */
export class Memory {
  readonly #pool: Pool
  readonly #scopes: Scopes
  readonly #loans = new Loans()
  readonly #pressure = new Pressure()
  readonly #placeholder: Placeholder
  readonly #collected: FinalizationRegistry<Block> // called when nothing refers to a storage
  readonly #variables = new Map<Block, number>() // how many lie on a block
  #listed: Storage[] | null = null // variables made, while they are listed

  constructor(device: GPUDevice, watch: Watch, onDiscard: Discard) {
    this.#pool = new Pool(device, watch, onDiscard)
    this.#placeholder = new Placeholder(() => this.#pool.take(0, () => false))
    this.#collected = new FinalizationRegistry((block) => {
      const isFree = this.#variables.has(block)
        ? this.#removeVariable(block)
        : this.#loans.release(block)
      if (isFree && !this.#placeholder.is(block)) this.#pool.putCollected(block)
    })
    this.#scopes = new Scopes({
      release: (storage, end) => this.release(storage, end),
      escape: (storage) => this.#watchCollection(storage),
    })
  }

  /** Bytes of buffers alive now, pooled ones included. */
  get bytes(): number {
    return this.#pool.bytes
  }

  /** How many buffers were created. */
  get made(): number {
    return this.#pool.made
  }

  /** Runs `body` without executing its commands. All its allocations share one small placeholder
   *  buffer, until `materialize` is called. */
  withPlaceholder<T>(body: () => T): T {
    return this.#placeholder.run(body)
  }

  /** Tells whether a storage lies on the placeholder. */
  isPlaceholder(storage: Storage): boolean {
    return this.#placeholder.holds(storage)
  }

  /** Gives memory of its own to every storage on the placeholder that was not freed. */
  materialize() {
    for (const storage of this.#placeholder.end()) this.reallocate(storage)
  }

  /** Gives a storage new memory. */
  reallocate(storage: Storage) {
    storage.block = this.#pool.take(storage.bytes)
  }

  /** Makes a storage on another one's memory, which returns to the pool when both are freed. */
  borrow({ block, offset, bytes }: Binding): Storage {
    const storage = storageOn(block, { bytes, offset })
    this.#loans.begin(storage, block)
    return storage
  }

  /** Makes a storage that is freed with the innermost scope, or, outside of any, when nothing
   *  refers to it. Reuses only pooled blocks that `suits`. */
  alloc(bytes: number, suits?: (block: Block) => boolean): Storage {
    const block = this.#placeholder.block ?? this.#pool.take(bytes, suits)
    const storage = storageOn(block, { bytes })
    if (this.#placeholder.block) this.#placeholder.add(storage)
    this.#scopes.add(storage)
    return storage
  }

  /** Makes a variable's storage, which no scope frees: it lives until `free`, or until nothing
   *  refers to it. */
  allocVariable(bytes: number): Storage {
    const block = this.#pool.take(bytes)
    const storage = storageOn(block, { bytes, permanent: true })
    this.#addVariable(block)
    this.#watchCollection(storage)
    this.#listed?.push(storage)
    return storage
  }

  /** Runs `body`. Returns the storages of the variables that it made. */
  variablesMadeBy(body: () => void): readonly Storage[] {
    const made: Storage[] = (this.#listed = [])
    try {
      body()
    } finally {
      this.#listed = null
    }
    return made
  }

  /** Makes a storage on an app's buffer, as `allocVariable` does on one of the pool. Returns null
   *  for a buffer of the pool. */
  wrap(buffer: GPUBuffer, { offset, bytes }: Pick<Binding, 'offset' | 'bytes'>): Storage | null {
    const block = this.#pool.adopt(buffer)
    if (!block) return null
    const storage = storageOn(block, { bytes, offset, permanent: true })
    this.#addVariable(block)
    this.#collected.register(storage, block, storage) // its bytes are the app's
    return storage
  }

  /** Tells whether a storage lies in an app's buffer. */
  isWrapped({ block }: Storage): boolean {
    return block?.isShared ?? false
  }

  /** Runs `body`, then frees what it allocated, except the storages that `pick` finds in its
   *  result. Those pass to the enclosing scope, or, outside of any, live while something refers to
   *  them; they are also returned. `end` completes the error of a late use. */
  scope<T>(
    body: () => T,
    pick: (result: T) => readonly Storage[],
    end: End = 'the step it was made in',
  ): { result: T; kept: readonly Storage[] } {
    return this.#scopes.run(body, pick, end)
  }

  /** Runs `body` outside of all scopes: its storages live while something refers to them. */
  unscoped<T>(body: () => T): T {
    return this.#scopes.suspend(body)
  }

  /** Frees a storage, unless it is a variable's. Using a tensor on it throws from now on. */
  release(storage: Storage, end: End = 'the step it was made in') {
    const { block } = storage
    if (!block || storage.permanent) return
    this.#unwatch(storage)
    if (this.#loans.end(storage, block)) this.#recycle(block)
    storage.block = null
    storage.end = end
  }

  /** Frees storages, variables' too, and destroys the blocks that nothing else lies on. All
   *  commands must have been submitted. */
  free(storages: readonly Storage[]) {
    const blocks = storages.flatMap((storage) => {
      const { block } = storage
      if (!block) return []
      this.#unwatch(storage)
      const isFree = storage.permanent
        ? this.#removeVariable(block)
        : this.#loans.end(storage, block)
      storage.block = null
      storage.end = 'gpu.free gave its memory back'
      return isFree && !this.#placeholder.is(block) ? [block] : []
    })
    this.#pool.discard(blocks)
  }

  /** Moves a variable's storage, and with it every view of it, to `offset` bytes in `whole`. Its
   *  own block returns to the pool if no other variable lies there. The caller must copy the values
   *  before anything else is dispatched. */
  move(storage: Storage, whole: Storage, offset: number) {
    const { block } = storage
    const before = versionOf(storage)
    if (!whole.block) return
    this.#addVariable(whole.block)
    this.#unwatch(storage)
    storage.block = whole.block
    this.#collected.register(storage, whole.block, storage) // the pressure of `whole` counts already
    storage.offset = offset
    storage.versionOffset = before - whole.block.writes
    if (block && this.#removeVariable(block)) this.#recycle(block)
  }

  /** Destroys pooled buffers that no step has used for a while. Called once per step with its
   *  number. */
  trim(step: number) {
    this.#pool.trim(step)
  }

  /** Destroys all pooled buffers. */
  drain() {
    this.#pool.drain()
  }

  destroy() {
    this.#pool.destroy()
  }

  /** Returns the storage's block to the pool once nothing refers to the storage. */
  #watchCollection(storage: Storage) {
    if (!storage.block) return
    this.#collected.register(storage, storage.block, storage)
    storage.pressure ??= this.#pressure.of(storage.bytes)
  }

  #unwatch(storage: Storage) {
    this.#collected.unregister(storage)
    storage.pressure = null
  }

  #addVariable(block: Block) {
    this.#variables.set(block, (this.#variables.get(block) ?? 0) + 1)
  }

  /** Notes that a variable left a block, and tells whether none is left there. */
  #removeVariable(block: Block): boolean {
    const others = (this.#variables.get(block) ?? 0) - 1
    if (others > 0) this.#variables.set(block, others)
    else this.#variables.delete(block)
    return others <= 0
  }

  #recycle(block: Block) {
    if (!this.#placeholder.is(block)) this.#pool.put(block)
  }
}
