// Holds out training images, on which settings are chosen, so that no test image decides anything.

import { threefry2x32 } from '../kernels/wgsl/threefry.ts'

const HELD = 5 // one in 5 training images is held out
const FEWEST = 2 // a class of fewer images has none held out
const STREAM = 0x4e1d // keeps these draws apart from other uses of the seed

/** Indices of training images, ascending. */
export interface Parted {
  readonly fit: readonly number[]
  readonly held: readonly number[]
}

/** Splits the images' indices into those to fit and those held out: one in five of each class, by
 *  the seed. */
export function parted(labels: ArrayLike<number>, seed: number): Parted {
  const classes = new Map<number, number[]>()
  for (let i = 0; i < labels.length; i++) {
    const own = classes.get(labels[i] ?? -1)
    if (own) own.push(i)
    else classes.set(labels[i] ?? -1, [i])
  }
  const [fit, held]: [number[], number[]] = [[], []]
  for (const places of classes.values()) {
    const draw = (i: number) => threefry2x32([seed, STREAM], [i, 0])[0]
    const shuffled = places
      .map((i) => ({ i, key: draw(i) }))
      .sort((a, b) => a.key - b.key || a.i - b.i)
    const n = places.length < FEWEST ? 0 : Math.max(1, Math.floor(places.length / HELD))
    for (const [place, { i }] of shuffled.entries()) (place < n ? held : fit).push(i)
  }
  return { fit: fit.sort((a, b) => a - b), held: held.sort((a, b) => a - b) }
}
