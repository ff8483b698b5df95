// Alignment of positive pairs (Wang and Isola 2020, https://arxiv.org/abs/2005.10242, section 4.1.1):
// the mean of |z1 - z2|^alpha over the pairs, with z1 and z2 on the unit sphere.

import { type Tensor, ShapeError, matrix, show } from '../op.ts'
import { checkOptions, checkTensor, flag, positive } from '../options.ts'
import { clamp } from '../elementwise/clamp.ts'
import { exp } from '../elementwise/exp.ts'
import { log } from '../elementwise/log.ts'
import { mul } from '../elementwise/mul.ts'
import { square } from '../elementwise/square.ts'
import { sub } from '../elementwise/sub.ts'
import { l2Normalize } from '../reduce/l2-normalize.ts'
import { mean } from '../reduce/mean.ts'
import { sum } from '../reduce/sum.ts'

const LEAST = 1e-30 // squared distance whose logarithm is taken, so that equal rows have one

/** Options of `alignment`. */
export interface AlignmentOptions {
  /** Power of the distance, above 0; 2 by default, as in the paper. */
  readonly alpha?: number
  /** True if rows have unit length already; false by default. */
  readonly normalized?: boolean
}

/** The alignment of two views z1, z2 [N, D] of N images -> []: 0 when both views of each image are
 *  one direction, the less the better. Rows are normalised inside unless `normalized`. Throws
 *  ShapeError unless the views have one shape. */
export function alignment(z1: Tensor, z2: Tensor, options: AlignmentOptions = {}): Tensor {
  const { alpha = 2, normalized = false } = checkOptions('alignment', options, {
    alpha: positive,
    normalized: flag,
  })
  for (const [name, z] of Object.entries({ z1, z2 })) checkTensor('alignment', name, z)
  matrix(z1.shape, 'alignment: z1')
  if (z1.shape.join() !== z2.shape.join())
    throw new ShapeError(
      `alignment: the two views must have one shape, got ${show(z1.shape)} and ${show(z2.shape)}`,
    )
  const unit = (z: Tensor) => (normalized ? z : l2Normalize(z))
  const squares = sum(square(sub(unit(z1), unit(z2))), 1)
  if (alpha === 2) return mean(squares)
  return mean(exp(mul(log(clamp(squares, { min: LEAST })), alpha / 2)))
}
