// Cuts a list of GPU commands into pieces of at most so many milliseconds, by the time that each
// command has taken so far.

/** The time of a command on the GPU, as far as it is known. */
export interface Cost {
  /** Milliseconds; NaN until it was measured. */
  ms: number
}

/** A command with its cost. */
export interface Costed {
  readonly cost: Cost
}

/** Returns the end of the piece that begins at command `start`: as many commands as take at most
 *  `room` milliseconds together, and at most `most` of them. A command that was not measured is a
 *  piece by itself, so that it is. So is one that takes longer than any piece may. `isFirst` tells
 *  that nothing is in the piece yet; else a command that does not fit gives an empty piece, which
 *  ends at `start`. */
export function pieceEnd(
  commands: readonly Costed[],
  start: number,
  {
    room,
    most,
    isFirst,
  }: { readonly room: number; readonly most: number; readonly isFirst: boolean },
): number {
  const last = Math.min(commands.length, start + most)
  if (room === Infinity) return last
  let [end, left] = [start, room]
  while (end < last) {
    const ms = commands[end]?.cost.ms ?? NaN
    if (!(ms <= left)) break // NaN too
    left -= ms
    end++
  }
  return end === start && isFirst ? Math.min(last, start + 1) : end
}

const LEAST = 1e-3 // ms: clocks of pages have coarse steps, and show 0
const MOST_CHANGE = 2 // factor by which one measurement may change the costs of a piece
const MAX_KNOWN = 16384 // else work that never repeats would fill the table without end

/** The costs of a device's commands, by what they are. */
export class Costs {
  readonly #known = new Map<string, Cost>()

  /** Returns the cost of the commands of this key: the same kernel, workgroups and bytes. */
  of(key: string): Cost {
    const known = this.#known.get(key)
    if (known) return known
    if (this.#known.size >= MAX_KNOWN) this.#known.clear()
    const cost = { ms: NaN }
    this.#known.set(key, cost)
    return cost
  }
}

/** Corrects the costs of a piece by the milliseconds that it took. The time of one command is its
 *  cost. The time of several is divided among them as their costs so far, and doubles or halves
 *  each at most, so that one wait for something else does not spoil them. What was not measured
 *  before has an equal share. */
export function learn(costs: readonly Cost[], took: number) {
  const [only] = costs
  if (!only) return
  if (costs.length === 1) {
    only.ms = Math.max(LEAST, took)
    return
  }
  const share = Math.max(LEAST, took / costs.length)
  for (const cost of costs) if (Number.isNaN(cost.ms)) cost.ms = share
  const expected = costs.reduce((sum, { ms }) => sum + ms, 0)
  const change = Math.min(MOST_CHANGE, Math.max(1 / MOST_CHANGE, took / expected))
  for (const cost of new Set(costs)) cost.ms = Math.max(LEAST, cost.ms * change)
}
