// Plans the memory of a step whose commands are known. Each temporary gets a range of one of a few
// buffers, the slots, and shares it with temporaries that live at other times. Two rules:
//   ranges in use at one time do not overlap;
//   no command reads one part of a slot and writes another (WebGPU refuses to bind one buffer both
//   ways in one dispatch).
//
// The largest temporaries are placed first, each in the tightest gap that fits (greedy by size, as
// in Pisarchyk and Lee 2020, arXiv:2001.03288, with several buffers instead of one). A new slot is
// as large as its first temporary. In a single arena the GPU would have to finish every dispatch
// before the next begins.

/** A temporary: its size, and the commands that use it. */
export interface Need {
  readonly bytes: number
  /** The commands that use it, in order. It is alive from the first to the last. */
  readonly uses: readonly { readonly command: number; readonly writes: boolean }[]
  /** True if it is needed after the last command. */
  readonly outlives: boolean
}

/** The range of a temporary. */
export interface Placement {
  readonly slot: number
  /** Bytes from the slot's beginning. */
  readonly offset: number
}

const SMALLEST = 1 << 16 // bytes of a slot: many small temporaries share one

interface Slot {
  readonly bytes: number
  readonly ranges: {
    readonly from: number
    readonly to: number
    readonly offset: number
    readonly bytes: number
  }[]
  /** Whether each command that uses the slot writes it. */
  readonly writes: Map<number, boolean>
}

/** Returns the range of each temporary, and the slots' sizes in bytes. Offsets and sizes are
 *  multiples of `align`. `room` are the sizes of slots that exist, which come first. */
export function plan(
  needs: readonly Need[],
  align: number,
  room: readonly number[] = [],
): { placements: readonly Placement[]; slots: readonly number[] } {
  const slots = room.map((bytes): Slot => ({ bytes, ranges: [], writes: new Map() }))
  const placements: Placement[] = needs.map(() => ({ slot: 0, offset: 0 }))
  const order = [...needs.entries()].sort(([i, a], [j, b]) => b.bytes - a.bytes || i - j)
  for (const [i, need] of order) {
    const bytes = aligned(need, align)
    const [from, to] = lifetime(need)
    let best = { slot: -1, offset: 0, left: Infinity }
    for (const [s, slot] of slots.entries()) {
      if (need.uses.some(({ command, writes }) => (slot.writes.get(command) ?? writes) !== writes))
        continue
      const gap = tightest(slot, from, to, bytes)
      if (gap && gap.left < best.left) best = { slot: s, ...gap }
    }
    if (best.slot < 0) {
      const slot = { bytes: Math.max(bytes, SMALLEST), ranges: [], writes: new Map() }
      best = { slot: slots.push(slot) - 1, offset: 0, left: 0 }
    }
    const { slot, offset } = best
    slots[slot]?.ranges.push({ from, to, offset, bytes })
    for (const { command, writes } of need.uses) slots[slot]?.writes.set(command, writes)
    placements[i] = { slot, offset }
  }
  const extent = ({ ranges }: Slot) => Math.max(...ranges.map((t) => t.offset + t.bytes))
  return { placements, slots: slots.map((slot, s) => room[s] ?? extent(slot)) }
}

/** Returns the most bytes in use at one time, in ranges of multiples of `align`. No plan needs
 *  less. */
export function leastBytes(needs: readonly Need[], align: number): number {
  const change = new Map<number, number>()
  for (const need of needs) {
    const [from, to] = lifetime(need)
    const bytes = aligned(need, align)
    change.set(from, (change.get(from) ?? 0) + bytes)
    change.set(to + 1, (change.get(to + 1) ?? 0) - bytes)
  }
  let [inUse, most] = [0, 0]
  for (const [, bytes] of [...change].sort(([a], [b]) => a - b))
    most = Math.max(most, (inUse += bytes))
  return most
}

const aligned = ({ bytes }: Need, align: number) => Math.max(1, Math.ceil(bytes / align)) * align

/** Returns the first and the last command during which a temporary is alive. */
function lifetime({ uses, outlives }: Need): [from: number, to: number] {
  const last = uses.at(-1)?.command ?? 0
  return [uses[0]?.command ?? 0, outlives ? Infinity : last]
}

/** Finds the smallest gap of `bytes` or more that is free from command `from` to command `to`; null
 *  if there is none. */
function tightest(slot: Slot, from: number, to: number, bytes: number) {
  const busy = slot.ranges
    .filter((t) => t.from <= to && from <= t.to)
    .sort((a, b) => a.offset - b.offset)
  let best: { offset: number; left: number } | null = null
  let offset = 0
  for (const { offset: start, bytes: size } of [...busy, { offset: slot.bytes, bytes: 0 }]) {
    const left = start - offset - bytes
    if (left >= 0 && left < (best?.left ?? Infinity)) best = { offset, left }
    offset = Math.max(offset, start + size)
  }
  return best
}
