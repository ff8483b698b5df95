// Axes as callers name them (a negative one counts from the end) and as kernels walk them.

import { type Shape, ShapeError, dim, show, sizeOf } from '../op.ts'
import { checkOptions, describe, flag } from '../options.ts'

/** One axis, a list of them, or all. */
export type Axes = number | readonly number[] | undefined

export interface KeepDims {
  /** Reduced axes stay in the shape, with size 1; false by default. */
  readonly keepDims?: boolean
}

/** Checks the options of a reduction and returns `keepDims`. Throws TypeError for other options. */
export const keepsDims = (name: string, options: KeepDims): boolean =>
  checkOptions(name, options, { keepDims: flag }).keepDims ?? false

/** The axis counted from the front. Throws ShapeError for one that the shape does not have. */
export function axisOf(name: string, shape: Shape, axis: number): number {
  if (!Number.isInteger(axis) || axis < -shape.length || axis >= shape.length)
    throw new ShapeError(`${name}: no axis ${describe(axis)} in ${show(shape)}`)
  return axis < 0 ? axis + shape.length : axis
}

/** The axes counted from the front, ascending; all for undefined. Throws ShapeError for one that
 *  the shape does not have or that is named twice. */
export function axesOf(name: string, shape: Shape, axes: Axes): number[] {
  if (axes === undefined) return shape.map((_, i) => i)
  if (typeof axes !== 'number' && !Array.isArray(axes))
    throw new ShapeError(`${name}: axes must be a number or a list of them, got ${describe(axes)}`)
  const list: readonly number[] = typeof axes === 'number' ? [axes] : axes
  const sorted = list.map((axis) => axisOf(name, shape, axis)).sort((a, b) => a - b)
  if (new Set(sorted).size !== sorted.length)
    throw new ShapeError(`${name}: an axis of ${show(shape)} is named twice, got ${show(list)}`)
  return sorted
}

/** The shape left when `axes` (counted from the front) are reduced. */
export const reducedShape = (shape: Shape, axes: readonly number[], keepDims = false): Shape =>
  keepDims
    ? shape.map((size, i) => (axes.includes(i) ? 1 : size))
    : shape.filter((_, i) => !axes.includes(i))

/** Sizes [A, R, B] of an array: the axes before, within and after [from, to). Line (a, b) is
 *  x[(a R + r) B + b], r < R. */
export const linesOf = (
  shape: Shape,
  from: number,
  to = from + 1,
): [A: number, R: number, B: number] => [
  sizeOf(shape.slice(0, from)),
  sizeOf(shape.slice(from, to)),
  sizeOf(shape.slice(to)),
]

/** Ascending axes as ranges [from, to) of neighbours, last first. Axes of size 1 between two join
 *  them. */
export function neighbours(shape: Shape, axes: readonly number[]): [from: number, to: number][] {
  const ranges: [number, number][] = []
  for (const axis of axes) {
    const last = ranges.at(-1)
    const joined = last && shape.slice(last[1], axis).every((size) => size === 1)
    if (last && joined) last[1] = axis + 1
    else if (dim(shape, axis) !== 1) ranges.push([axis, axis + 1])
  }
  return ranges.reverse()
}
