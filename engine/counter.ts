// Counters that a step advances: in replays too, and taken back after a body that only looks.

/** The part of a Gpu that counts. */
interface Counting {
  everyStep(action: () => void, undo: () => void): void
}

/** Adds `by`, 1 by default, to `owner[name]` now and in each replay. */
export const countUp = <Name extends string>(
  gpu: Counting,
  owner: Record<Name, number>,
  name: Name,
  by = 1,
) =>
  gpu.everyStep(
    () => (owner[name] += by),
    () => (owner[name] -= by),
  )
