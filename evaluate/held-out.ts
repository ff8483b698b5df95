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
export const parted = (labels: ArrayLike<number>, seed: number): Parted =>
  fold(shuffledClasses(labels, seed), 0)

/** Splits the images' indices in five ways, so that each image of a class of five or more is held
 *  out in one of them, but for up to four of a class that are left over; stops when `enough` images
 *  are held out in all. The first way is that of `parted`. */
export function folds(labels: ArrayLike<number>, seed: number, enough: number): Parted[] {
  const classes = shuffledClasses(labels, seed)
  const ways: Parted[] = []
  let held = 0
  for (let way = 0; way < HELD && held < enough; way++) {
    const parts = fold(classes, way)
    if (parts.held.length === 0) break
    ways.push(parts)
    held += parts.held.length
  }
  return ways
}

/** Returns the indices of each class, in the order that the seed draws. */
function shuffledClasses(labels: ArrayLike<number>, seed: number): number[][] {
  const classes = new Map<number, number[]>()
  for (let i = 0; i < labels.length; i++) {
    const own = classes.get(labels[i] ?? -1)
    if (own) own.push(i)
    else classes.set(labels[i] ?? -1, [i])
  }
  const draw = (i: number) => threefry2x32([seed, STREAM], [i, 0])[0]
  return [...classes.values()].map((places) =>
    places
      .map((i) => ({ i, key: draw(i) }))
      .sort((a, b) => a.key - b.key || a.i - b.i)
      .map(({ i }) => i),
  )
}

/** Holds out the `way`-th fifth of each class. */
function fold(classes: readonly (readonly number[])[], way: number): Parted {
  const [fit, held]: [number[], number[]] = [[], []]
  for (const places of classes) {
    const n = places.length < FEWEST ? 0 : Math.max(1, Math.floor(places.length / HELD))
    for (const [place, i] of places.entries())
      (place >= way * n && place < (way + 1) * n ? held : fit).push(i)
  }
  return { fit: fit.sort((a, b) => a - b), held: held.sort((a, b) => a - b) }
}
