// Axes as callers name them (negative ones count from the end) and as kernels walk them.

import { type Shape, ShapeError, dim, show, sizeOf } from '../op.ts'
import { checkOptions, describe, flag } from '../options.ts'

/** One axis, a list of them, or all. */
export type Axes = number | readonly number[] | undefined

export interface Keep {
  /** Leaves reduced axes in the shape, with size 1. */
  readonly keepDims?: boolean
}

/** Whether reduced axes stay. Throws TypeError for other options. */
export const isKept = (name: string, options: Keep): boolean =>
  checkOptions(name, options, { keepDims: flag }).keepDims ?? false

/** The axis counted from the front; throws ShapeError where the shape has none such. */
export function axisOf(name: string, shape: Shape, axis: number): number {
  if (!Number.isInteger(axis) || axis < -shape.length || axis >= shape.length)
    throw new ShapeError(`${name}: no axis ${describe(axis)} in ${show(shape)}`)
  return axis < 0 ? axis + shape.length : axis
}

/** The axes counted from the front, ascending; all when undefined. Throws ShapeError for one that is absent
 *  or named twice. */
export function axesOf(name: string, shape: Shape, axes: Axes): number[] {
  if (axes === undefined) return shape.map((_, i) => i)
  if (typeof axes !== 'number' && !Array.isArray(axes))
    throw new ShapeError(`${name}: axes must be a number or a list of them, got ${describe(axes)}`)
  const list: readonly number[] = typeof axes === 'number' ? [axes] : axes
  const found = list.map((axis) => axisOf(name, shape, axis)).sort((a, b) => a - b)
  if (new Set(found).size !== found.length)
    throw new ShapeError(`${name}: an axis of ${show(shape)} is named twice, got ${show(list)}`)
  return found
}

/** The shape left when `axes` (counted from the front) are reduced. */
export const reducedShape = (shape: Shape, axes: readonly number[], keepDims = false): Shape =>
  keepDims ? shape.map((size, i) => (axes.includes(i) ? 1 : size)) : shape.filter((_, i) => !axes.includes(i))

/** An array as lines along axes [from, to): A before, R along them, B after, so that line (a, b) is x[(a R +
 *  r) B + b]. */
export const linesOf = (shape: Shape, from: number, to = from + 1): [A: number, R: number, B: number] => [
  sizeOf(shape.slice(0, from)),
  sizeOf(shape.slice(from, to)),
  sizeOf(shape.slice(to)),
]

/** Ascending axes as ranges [from, to) of neighbours, last first; axes of size 1 join them for free. */
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
