// The buffers that the plans of one captured step share. Only one plan runs at a time, and what it
// returned lives at most until the next one has run. So all plans together need little more than
// the largest.
//
// A new plan uses the slots that exist, and makes those that it lacks. If all plans together would
// need a sixteenth less when placed anew, the largest first, they are: the others then make their
// bind groups again when they are next called.

import { type Binding, type Block, type Memory, type Storage, bindingOf } from '../memory.ts'
import { type Need, leastBytes, plan } from './planner.ts'

const ALIGN = 256 // of a storage binding's offset, in bytes; every device accepts it
const GAIN = 1 / 16 // share of the bytes for which plans move

/** A plan that has a place in an arena. */
export interface Tenant {
  /** Called when its place was moved. It must ask for its place before its next use. */
  evict(): void
}

interface Layout {
  readonly needs: readonly Need[]
  readonly places: readonly { readonly slot: Storage; readonly offset: number }[]
}

type Placed = ReturnType<typeof plan>

/** Places the temporaries of plans in buffers that they share. */
export class Arena {
  readonly #memory: Memory
  readonly #layouts = new Map<Tenant, Layout>()

  constructor(memory: Memory) {
    this.#memory = memory
  }

  /** Bytes that the plans share, and the fewest that any arrangement could need; null if there is
   *  no plan. */
  get bytes(): { readonly bytes: number; readonly least: number } | null {
    if (this.#layouts.size === 0) return null
    const least = [...this.#layouts.values()].map(({ needs }) => leastBytes(needs, ALIGN))
    return { bytes: total(sizesOf(this.#slots())), least: Math.max(...least) }
  }

  /** Returns the ranges of a plan's temporaries, the same ones until it leaves or is evicted. Gives
   *  no range of the blocks `taken`. */
  place(tenant: Tenant, needs: readonly Need[], taken: ReadonlySet<Block>): readonly Binding[] {
    const layout = this.#layouts.get(tenant) ?? this.#settle(tenant, needs, taken)
    return layout.places.map(({ slot, offset }, i) => ({
      ...bindingOf(slot),
      offset,
      bytes: needs[i]?.bytes ?? 0,
    }))
  }

  /** Frees the buffers that this plan alone used. */
  leave(tenant: Tenant) {
    const before = this.#slots()
    this.#layouts.delete(tenant)
    const after = new Set(this.#slots())
    for (const slot of before) if (!after.has(slot)) this.#memory.release(slot)
  }

  /** Finds a place for a new plan. */
  #settle(tenant: Tenant, needs: readonly Need[], taken: ReadonlySet<Block>): Layout {
    const slots = this.#slots()
    const usable = slots.filter(({ block }) => block && !taken.has(block))
    const extended = plan(needs, ALIGN, sizesOf(usable))
    const more = extended.slots.slice(usable.length)
    const all = new Map([...this.#layouts].map(([who, of]) => [who, of.needs] as const))
    const { placed, sizes } = arrange(all.set(tenant, needs))
    const isWorthIt = total(sizes) < (total(sizesOf(slots)) + total(more)) * (1 - GAIN)
    if (isWorthIt) return this.#move(tenant, placed, sizes)
    return this.#keep(tenant, needs, extended, [...usable, ...this.#make(more)])
  }

  /** Moves all plans to new buffers, and returns the place of this one. */
  #move(
    tenant: Tenant,
    placed: ReadonlyMap<Tenant, Placed & { readonly needs: readonly Need[] }>,
    sizes: readonly number[],
  ): Layout {
    for (const slot of this.#slots()) this.#memory.release(slot)
    for (const other of this.#layouts.keys()) other.evict()
    const slots = this.#make(sizes)
    for (const [who, of] of placed) this.#keep(who, of.needs, of, slots)
    const layout = this.#layouts.get(tenant)
    if (!layout) throw new Error('an arena has no place for a plan')
    return layout
  }

  #keep(
    tenant: Tenant,
    needs: readonly Need[],
    { placements }: Placed,
    slots: readonly Storage[],
  ): Layout {
    const places = placements.flatMap(({ slot, offset }) => {
      const storage = slots[slot]
      return storage ? [{ slot: storage, offset }] : []
    })
    const layout = { needs, places }
    this.#layouts.set(tenant, layout)
    return layout
  }

  /** Makes buffers, after those of the pool were destroyed, which captured steps do not use. */
  #make(sizes: readonly number[]): Storage[] {
    this.#memory.drain()
    return sizes.map((bytes) => this.#memory.alloc(bytes))
  }

  #slots(): Storage[] {
    const places = [...this.#layouts.values()].flatMap((layout) => layout.places)
    return [...new Set(places.map(({ slot }) => slot))]
  }
}

/** Places plans in shared slots, the largest plan first. */
function arrange(tenants: ReadonlyMap<Tenant, readonly Need[]>) {
  const alone = [...tenants].map(([tenant, needs]) => {
    const bytes = total(plan(needs, ALIGN).slots)
    return { tenant, needs, bytes }
  })
  let sizes: readonly number[] = []
  const placed = new Map<Tenant, Placed & { readonly needs: readonly Need[] }>()
  for (const { tenant, needs } of alone.sort((a, b) => b.bytes - a.bytes)) {
    const one = plan(needs, ALIGN, sizes)
    sizes = one.slots
    placed.set(tenant, { ...one, needs })
  }
  return { placed, sizes }
}

const sizesOf = (slots: readonly Storage[]) => slots.map(({ bytes }) => bytes)
const total = (sizes: readonly number[]) => sizes.reduce((sum, bytes) => sum + bytes, 0)
