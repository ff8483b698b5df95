// GPU memory: which storage has which block, and for how long. Blocks come from a pool (memory/pool.ts); storages die
// with their scope (memory/scopes.ts), with their captured step (memory/loans.ts), or when nothing refers to them.

import type { Watch } from './errors.ts'
import { Loans } from './memory/loans.ts'
import { Pool } from './memory/pool.ts'
import { Pressure } from './memory/pressure.ts'
import { Scopes } from './memory/scopes.ts'
import { StandIn } from './memory/stand-in.ts'
import { type Binding, type Block, type End, type Storage, storageOn, version } from './memory/storage.ts'

export { USAGE } from './memory/pool.ts'
export { type Binding, type Block, type Storage, bindingOf, version } from './memory/storage.ts'

/** The memory of one device. Sizes are in bytes. */
export class Memory {
  readonly #pool: Pool
  readonly #scopes: Scopes
  readonly #loans = new Loans()
  readonly #pressure = new Pressure()
  readonly #standIn: StandIn
  readonly #collected: FinalizationRegistry<Block> // told of storages that nothing refers to
  readonly #tenants = new Map<Block, number>() // how many variables lie on a block

  /** `onEvict` is told which buffers were destroyed, by their ids, so that nothing cached refers to them. */
  constructor(device: GPUDevice, watch: Watch, onEvict: (ids: ReadonlySet<number>) => void) {
    this.#pool = new Pool(device, watch, onEvict)
    this.#standIn = new StandIn(() => this.#pool.take(0, () => false))
    this.#collected = new FinalizationRegistry((block) => {
      const isOver = this.#tenants.has(block) ? this.#leave(block) : this.#loans.isFree(block)
      if (isOver && !this.#standIn.is(block)) this.#pool.putFound(block)
    })
    this.#scopes = new Scopes({
      release: (storage, end) => this.release(storage, end),
      free: (storage) => this.#watchOver(storage),
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

  /** Runs `body`, whose commands are not done, with one small block standing in for all that it allocates, unless `settle` is
   *  called in it. */
  standIn<T>(body: () => T): T {
    return this.#standIn.run(body)
  }

  /** Whether a block stands in for this storage's memory. */
  standsInFor(storage: Storage): boolean {
    return this.#standIn.covers(storage)
  }

  /** Gives memory to all that is stood in for and was not released. */
  settle() {
    for (const storage of this.#standIn.settle()) this.revive(storage)
  }

  /** Gives memory to a storage that has none, or had none of its own. */
  revive(storage: Storage) {
    storage.block = this.#pool.take(storage.bytes)
  }

  /** Storage on memory that is another storage's, which goes back to the pool when both are released. */
  lend({ block, offset, bytes }: Binding): Storage {
    const storage = storageOn(block, { bytes, offset })
    this.#loans.begin(storage, block)
    return storage
  }

  /** Storage that dies with the innermost scope, or, outside any, when nothing refers to it any more. Of the pooled blocks
   *  only those that suit are taken. */
  alloc(bytes: number, suits?: (block: Block) => boolean): Storage {
    const block = this.#standIn.block ?? this.#pool.take(bytes, suits)
    const storage = storageOn(block, { bytes })
    if (this.#standIn.block) this.#standIn.add(storage)
    this.#scopes.add(storage)
    return storage
  }

  /** Storage that no scope takes back: a variable's. It lives until `free`, or until nothing refers to it any more. */
  keep(bytes: number): Storage {
    const block = this.#pool.take(bytes)
    const storage = storageOn(block, { bytes, permanent: true })
    this.#enter(block)
    this.#watchOver(storage)
    return storage
  }

  /** Runs `body`; what it allocates dies after it, save the storages that `pick` finds in its result. Those pass to the
   *  enclosing scope, or, outside any, are also returned and live while something refers to them.
   *  `end` is what late uses are told. */
  scope<T>(
    body: () => T,
    pick: (result: T) => readonly Storage[],
    end: End = 'the step it was made in',
  ): { result: T; kept: readonly Storage[] } {
    return this.#scopes.run(body, pick, end)
  }

  /** Runs `body` outside of all scopes: what it allocates lives while something refers to it. */
  unscoped<T>(body: () => T): T {
    return this.#scopes.suspend(body)
  }

  /** Takes a storage back, unless it is a variable's; tensors on it throw from now on. */
  release(storage: Storage, end: End = 'the step it was made in') {
    const { block } = storage
    if (!block || storage.permanent) return
    this.#unwatch(storage)
    if (this.#loans.isOver(storage, block)) this.#recycle(block)
    storage.block = null
    storage.end = end
  }

  /** Takes storages back, variables' too, and destroys the blocks that nothing else lies on. Nothing that was dispatched may
   *  still wait to be submitted. */
  free(storages: readonly Storage[]) {
    const blocks = storages.flatMap((storage) => {
      const { block } = storage
      if (!block) return []
      this.#unwatch(storage)
      const isOver = storage.permanent ? this.#leave(block) : this.#loans.isOver(storage, block)
      storage.block = null
      storage.end = 'gpu.free gave its memory back'
      return isOver && !this.#standIn.is(block) ? [block] : []
    })
    this.#pool.discard(blocks)
  }

  /** Puts a variable's storage, and with it every view of it, at `offset` bytes into `whole`; its own block goes back to
   *  the pool when no other variable lies there. The values are the caller's to copy, before anything else is dispatched. */
  move(storage: Storage, whole: Storage, offset: number) {
    const { block } = storage
    const before = version(storage)
    if (!whole.block) return
    this.#enter(whole.block)
    this.#unwatch(storage)
    storage.block = whole.block
    this.#collected.register(storage, whole.block, storage) // the whole weighs already
    storage.offset = offset
    storage.bias = before - whole.block.writes
    if (block && this.#leave(block)) this.#recycle(block)
  }

  /** Destroys pooled buffers that no step has wanted for a while. Called once per step with its number. */
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

  /** Has the storage's block given back once nothing refers to the storage. */
  #watchOver(storage: Storage) {
    if (!storage.block) return
    this.#collected.register(storage, storage.block, storage)
    storage.pressure ??= this.#pressure.of(storage.bytes)
  }

  #unwatch(storage: Storage) {
    this.#collected.unregister(storage)
    storage.pressure = null
  }

  #enter(block: Block) {
    this.#tenants.set(block, (this.#tenants.get(block) ?? 0) + 1)
  }

  /** Takes note that a variable lies on a block no more, and tells whether none does. */
  #leave(block: Block): boolean {
    const others = (this.#tenants.get(block) ?? 0) - 1
    if (others > 0) this.#tenants.set(block, others)
    else this.#tenants.delete(block)
    return others <= 0
  }

  #recycle(block: Block) {
    if (!this.#standIn.is(block)) this.#pool.put(block)
  }
}
