// The weight and the bias of a convolution, as `Builder` makes them.

import type { Variable } from '../kernels/op.ts'
import { checkValue, counts, rule } from '../kernels/options.ts'
import { uniform } from '../engine/random.ts'
import { type Init, initialFilters } from './initial.ts'
import { type Sides, pair } from './window-sizes.ts'

/** What the weights of a convolution depend on, besides its channels. */
export interface Filling {
  /** Side of the kernel, or [rows, columns]; 3 by default. */
  readonly size?: number | Sides
  readonly groups?: number
  readonly bias?: boolean
  readonly init?: Init
}

/** The weights of a convolution: w [kH, kW, C / groups, K] and b [K], or null. */
export interface ConvWeights<Bias> {
  readonly w: Variable
  readonly b: Bias
}

/** Where parameters are made, and the seed of their values. */
interface Maker {
  readonly seed: number
  readonly parameter: (name: string, values: Float32Array, shape: readonly number[]) => Variable
}

export const twoCounts = rule(
  'two whole numbers from 1 on, [in, out]',
  (v) => counts.fits(v) && (v as readonly unknown[]).length === 2, // counts takes arrays alone
)

/** Makes the weights of a convolution of C channels to K. Throws, in the name of `owner`, TypeError
 *  for other channels and RangeError for groups that do not divide them. */
export function convWeights(
  owner: string,
  name: string,
  channels: readonly [number, number],
  { size = 3, groups = 1, bias = false, init = 'he' }: Filling,
  { seed, parameter }: Maker,
): ConvWeights<Variable | null> {
  const [C, K] = checkValue(owner, `channels of ${name}`, channels, twoCounts)
  const [kH, kW] = pair(size)
  if (C % groups !== 0 || K % groups !== 0)
    throw new RangeError(
      `${owner}: groups must divide the channels of ${name}, ${C} and ${K}, got ${groups}`,
    )
  const [shape, ofW, ofB] = [[kH, kW, C / groups, K], `${name}.weight`, `${name}.bias`]
  const w = parameter(ofW, initialFilters(seed, ofW, shape, init), shape)
  if (!bias) return { w, b: null }
  const bound = 1 / Math.sqrt((kH * kW * C) / groups)
  const isTorch = init === 'torch' || init === 'identity'
  const values = isTorch ? uniform(seed, ofB, K, -bound, bound) : new Float32Array(K)
  return { w, b: parameter(ofB, values, [K]) }
}
