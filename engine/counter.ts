// Counters that a step advances: in replays too, and taken back after a body that only looks.

/** The part of a Gpu that counts. */
interface Counting {
  everyStep(action: () => void, undo: () => void): void
}

/** Adds 1 to `owner[name]` now and in each replay. */
export const countUp = <Name extends string>(
  gpu: Counting,
  owner: Record<Name, number>,
  name: Name,
) =>
  gpu.everyStep(
    () => owner[name]++,
    () => owner[name]--,
  )
