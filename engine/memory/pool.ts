// The buffers of one device: created, reused by size, and destroyed after many idle steps. The free
// buffer with the lowest id is taken first, so that the same step always gets the same buffers and
// bind groups can be cached. Buffers found by the garbage collector are taken last, since it runs
// at any time.

import { DeviceLostError, GpuError, type Watch } from '../errors.ts'
import type { Block } from './storage.ts'
import { USAGE } from './usages.ts'

const ALIGN = 256 // WebGPU's default alignment of a storage binding, in bytes
const IDLE_STEPS = 64 // steps after which an idle buffer is destroyed

/** Drops what refers to blocks. Destroys their buffers, once no work that waits uses them, unless
 *  they are an app's. */
export type Discard = (blocks: readonly Block[], isOwn: boolean) => void

/** Creates, keeps and destroys buffers. Sizes are in bytes. */
export class Pool {
  readonly #device: GPUDevice
  readonly #watch: Watch
  readonly #onDiscard: Discard
  readonly #free = new Map<number, Block[]>() // by size, each list in ascending order of id
  readonly #collected = new Map<number, Block[]>() // those found by the collector
  readonly #all = new Set<Block>()
  readonly #adopted = new Map<GPUBuffer, Block>() // an app's buffers
  #nextId = 0
  #nextAdopted = -1
  #bytes = 0
  #isDestroyed = false

  constructor(device: GPUDevice, watch: Watch, onDiscard: Discard) {
    this.#device = device
    this.#watch = watch
    this.#onDiscard = onDiscard
  }

  /** Bytes of buffers alive now, free ones included. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many buffers were created. */
  get made(): number {
    return this.#nextId
  }

  /** Takes the first free block of this size that `suits`, or creates one. Throws DeviceLostError
   *  after `destroy`. */
  take(bytes: number, suits: (block: Block) => boolean = () => true): Block {
    if (this.#isDestroyed) throw new DeviceLostError('this Gpu was destroyed')
    const size = Math.max(ALIGN, Math.ceil(bytes / ALIGN) * ALIGN)
    const block = pick(this.#free.get(size), suits) ?? pick(this.#collected.get(size), suits)
    if (!block) return this.#create(size)
    block.idleSince = -1
    return block
  }

  /** Returns a block to the pool, unless its buffer is an app's. */
  put(block: Block) {
    if (this.#all.has(block)) insert(this.#free, block)
  }

  /** Returns a block that the garbage collector found unused. It is taken when no other of its size
   *  is free. */
  putCollected(block: Block) {
    if (this.#all.has(block)) insert(this.#collected, block)
    else this.discard([block]) // an app's
  }

  /** Destroys buffers that were free for 64 steps. Called once per step with its number. */
  trim(step: number) {
    const idle: Block[] = []
    for (const list of this.#lists()) {
      for (let i = list.length - 1; i >= 0; i--) {
        const block = list[i]
        if (block === undefined) continue
        if (block.idleSince < 0) block.idleSince = step
        else if (step - block.idleSince > IDLE_STEPS) {
          list.splice(i, 1)
          idle.push(block)
        }
      }
    }
    this.discard(idle)
  }

  /** Destroys all free buffers. */
  drain() {
    this.discard(this.#lists().flatMap((list) => list.splice(0)))
  }

  /** Returns the block of an app's buffer, which is never destroyed, nor given to another tensor.
   *  Returns null for a buffer of this pool. */
  adopt(buffer: GPUBuffer): Block | null {
    for (const block of this.#all) if (block.buffer === buffer) return null
    const known = this.#adopted.get(buffer)
    if (known) return known
    const block = {
      id: this.#nextAdopted--,
      isShared: true,
      ...{ buffer, used: -1, idleSince: -1, writes: 0 },
    }
    this.#adopted.set(buffer, block)
    return block
  }

  /** Destroys blocks that are no longer used, and forgets an app's buffers among them. */
  discard(blocks: readonly Block[]) {
    const adopted = blocks.filter(({ buffer }) => this.#adopted.delete(buffer))
    if (adopted.length > 0) this.#onDiscard(adopted, false)
    const mine = blocks.filter((block) => this.#all.delete(block))
    for (const { buffer } of mine) this.#bytes -= buffer.size
    if (mine.length > 0) this.#onDiscard(mine, true)
  }

  /** Destroys all buffers. */
  destroy() {
    this.#isDestroyed = true
    for (const block of this.#all) block.buffer.destroy()
    this.#all.clear()
    this.#adopted.clear()
    this.#free.clear()
    this.#collected.clear()
    this.#bytes = 0
  }

  #lists(): Block[][] {
    return [...this.#free.values(), ...this.#collected.values()]
  }

  #create(size: number): Block {
    const copied = USAGE.COPY_SRC | USAGE.COPY_DST
    const usage = USAGE.STORAGE | USAGE.UNIFORM | USAGE.VERTEX | copied // an app may draw from it
    this.#device.pushErrorScope('out-of-memory')
    const buffer = this.#device.createBuffer({ label: `kindred ${size} B`, size, usage })
    const inUse = this.#bytes
    this.#watch(
      this.#device.popErrorScope().then((error) => {
        const message = `out of GPU memory: ${size} bytes more were asked for with ${inUse} in use; use a smaller batch or model`
        return error && new GpuError(message)
      }),
    )
    const block = {
      id: this.#nextId++,
      isShared: false,
      ...{ buffer, used: -1, idleSince: -1, writes: 0 },
    }
    this.#all.add(block)
    this.#bytes += size
    return block
  }
}

/** Removes the first block that `suits` from a list, and returns it. */
function pick(list: Block[] = [], suits: (block: Block) => boolean): Block | undefined {
  const at = list.findIndex(suits)
  return at < 0 ? undefined : list.splice(at, 1)[0]
}

/** Inserts a block into the list of its size, in order of id. */
function insert(lists: Map<number, Block[]>, block: Block) {
  const list = lists.get(block.buffer.size)
  if (!list) {
    lists.set(block.buffer.size, [block])
    return
  }
  let at = list.length
  while (at > 0 && (list[at - 1]?.id ?? -1) > block.id) at--
  list.splice(at, 0, block)
}
