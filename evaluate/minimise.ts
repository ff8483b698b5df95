// L-BFGS (Liu and Nocedal 1989; Nocedal and Wright 2006, algorithms 7.4 and 7.5): minimises a
// smooth convex function in float64. Its values and gradients may be only as exact as float32.

import type { Abortable } from '../kernels/abort.ts'

/** A function's value and gradient at a point. */
export interface Point {
  readonly value: number
  readonly gradient: Float64Array
}

/** When the solver ends. */
export interface MinimiseOptions extends Abortable {
  /** Largest entry of the gradient, by absolute value, at which the fit is done. */
  readonly tolerance: number
  /** Most iterations; 500 by default. */
  readonly iterations?: number
}

/** A minimum, and how it was reached. */
export interface Minimum {
  readonly x: Float64Array
  readonly value: number
  readonly iterations: number
  /** Largest entry of the gradient, by absolute value. */
  readonly slope: number
}

type Objective = (x: Float64Array) => Promise<Point>

const MEMORY = 20 // pairs (step, change of the gradient) that are kept
const TRIES = 25 // points tried along one line
const NOISE = 1e-6 // relative error of a value that is summed in float32
const [ARMIJO, CURVATURE] = [1e-4, 0.9]

/** A step, the change of the gradient over it, and their dot product. */
interface Pair {
  readonly step: Float64Array
  readonly change: Float64Array
  readonly product: number
}

/** Minimises a convex function from `start`. Ends at the tolerance, after the given iterations, or
 *  when float32 shows no descent any more. */
export async function minimise(
  f: Objective,
  start: Float64Array,
  { tolerance, iterations = 500 }: MinimiseOptions,
): Promise<Minimum> {
  let x = start
  let here = await f(x)
  let pairs: Pair[] = []
  let count = 0
  while (count < iterations && largest(here.gradient) > tolerance) {
    const direction = directionAt(here.gradient, pairs)
    const found = await along(f, { x, here, direction, first: pairs.length === 0 })
    if (!found && pairs.length === 0) break
    if (!found) {
      pairs = [] // the pairs mislead: go along the gradient
      continue
    }
    const step = found.x.map((v, i) => v - (x[i] ?? 0))
    const change = found.here.gradient.map((v, i) => v - (here.gradient[i] ?? 0))
    const product = dot(step, change)
    if (product > 0) pairs = [...pairs.slice(1 - MEMORY), { step, change, product }]
    x = found.x
    here = found.here
    count++
  }
  return { x, value: here.value, iterations: count, slope: largest(here.gradient) }
}

/** -H g: H is the inverse Hessian that the pairs approximate, g the gradient. */
function directionAt(gradient: Float64Array, pairs: readonly Pair[]): Float64Array {
  const q = gradient.map((v) => -v)
  const shares = pairs.map(() => 0)
  for (let i = pairs.length - 1; i >= 0; i--) {
    const { step, change, product } = at(pairs, i)
    const share = dot(step, q) / product
    shares[i] = share
    add(q, change, -share)
  }
  const last = pairs.at(-1)
  if (last) scale(q, last.product / dot(last.change, last.change))
  for (const [i, { step, change, product }] of pairs.entries())
    add(q, step, (shares[i] ?? 0) - dot(change, q) / product)
  return q
}

interface Line {
  readonly x: Float64Array
  readonly here: Point
  readonly direction: Float64Array
  /** True when no pair tells how long a step should be. */
  readonly first: boolean
}

/** Finds a point on the line that meets the strong Wolfe conditions; null when there is none.
 *  Slopes decide where to look, because float32 keeps them better than differences of values. */
async function along(f: Objective, { x, here, direction, first }: Line) {
  const slope = dot(here.gradient, direction)
  if (!(slope < 0)) return null
  let [low, lowSlope, high, highSlope] = [0, slope, Infinity, NaN]
  let t = first ? Math.min(1, 1 / Math.sqrt(-slope)) : 1
  for (let i = 0; i < TRIES; i++) {
    const reached = Float64Array.from(x, (v, j) => v + t * (direction[j] ?? 0))
    const there = await f(reached)
    const now = dot(there.gradient, direction)
    const ceiling = here.value + ARMIJO * t * slope + NOISE * Math.abs(here.value)
    if (there.value <= ceiling && Math.abs(now) <= -CURVATURE * slope)
      return { x: reached, here: there }
    if (there.value <= ceiling && now < 0) [low, lowSlope] = [t, now]
    else [high, highSlope] = [t, now]
    t = high === Infinity ? 4 * t : low + (high - low) * between(lowSlope, highSlope)
  }
  return null
}

/** Estimates where between two points the slope is 0, as a share of the way from the first. */
function between(low: number, high: number): number {
  const share = low / (low - high)
  return high > 0 && Number.isFinite(share) ? Math.min(0.9, Math.max(0.1, share)) : 0.5
}

function at<T>(list: readonly T[], i: number): T {
  const item = list[i]
  if (item === undefined) throw new RangeError(`minimise: no item ${i} of ${list.length}`)
  return item
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0)
  return sum
}

function add(a: Float64Array, b: Float64Array, factor: number) {
  for (let i = 0; i < a.length; i++) a[i] = (a[i] ?? 0) + factor * (b[i] ?? 0)
}

function scale(a: Float64Array, factor: number) {
  for (let i = 0; i < a.length; i++) a[i] = (a[i] ?? 0) * factor
}

function largest(a: Float64Array): number {
  let most = 0
  for (const v of a) most = Math.max(most, Math.abs(v)) // NaN stays
  return most
}
