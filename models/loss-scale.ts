// The scale and the bias that the sigmoid loss learns (SigLIP, Zhai et al. 2023,
// https://arxiv.org/abs/2303.15343, Algorithm 1): x = t z1·z2 + b with t = exp(t').

import type { Variable } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { exp } from '../kernels/elementwise/exp.ts'
import { mul } from '../kernels/elementwise/mul.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Model, checkGpu } from './layers.ts'

/** t' and b. As a Model its parameters are 'loss.logScale' and 'loss.bias', and its forward makes
 *  logits of similarities of any shape. */
export interface LossScale extends Model {
  /** t' [], the logarithm of the scale. */
  readonly logScale: Variable
  /** b []. */
  readonly bias: Variable
}

const SCALE = 10 // the paper's initial values
const BIAS = -10

/** Makes t' = log 10 and b = -10, the paper's initial values: nearly all pairs are no matches, so
 *  that the first steps need not learn it. */
export function lossScale(gpu: Gpu): LossScale {
  checkGpu('lossScale', gpu)
  const logScale = gpu.variable([Math.log(SCALE)], [])
  const bias = gpu.variable([BIAS], [])
  return {
    ...{ logScale, bias },
    parameters: { 'loss.logScale': logScale, 'loss.bias': bias },
    norms: {},
    features: 1,
    forward: (similarities) => add(mul(similarities, exp(logScale)), bias),
  }
}
