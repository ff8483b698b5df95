// The scale and the bias that the sigmoid loss learns (SigLIP, Zhai et al. 2023,
// https://arxiv.org/abs/2303.15343, Algorithm 1): x = t z1·z2 + b with t = exp(t').

import type { Variable } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { exp } from '../kernels/elementwise/exp.ts'
import { mul } from '../kernels/elementwise/mul.ts'
import { checkOptions, number, positive } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Model, checkGpu, printedModel } from './model.ts'

/** t' and b. As a Model its parameters are 'loss.logScale' and 'loss.bias', and its forward makes
 *  logits of similarities of any shape. */
export interface LossScale extends Model {
  /** t' [], the logarithm of the scale. */
  readonly logScale: Variable
  /** b []. */
  readonly bias: Variable
}

export interface LossScaleOptions {
  /** Temperature 1 / t at the beginning: 0.1 by default, the paper's. */
  readonly temperature?: number
  /** b at the beginning: -10 by default, the paper's. Nearly all pairs are no matches, and the
   *  first steps need not learn that. */
  readonly bias?: number
}

const rules = { temperature: positive, bias: number }

/** Makes t' = -log(temperature) and b. Throws TypeError and RangeError for options of another
 *  kind. */
export function lossScale(gpu: Gpu, options: LossScaleOptions = {}): LossScale {
  checkGpu('lossScale', gpu)
  const { temperature = 0.1, bias: first = -10 } = checkOptions('lossScale', options, rules)
  const logScale = gpu.variable([-Math.log(temperature)], [])
  const bias = gpu.variable([first], [])
  return printedModel('lossScale', {
    ...{ logScale, bias },
    parameters: { 'loss.logScale': logScale, 'loss.bias': bias },
    norms: {},
    features: 1,
    forward: (similarities) => add(mul(similarities, exp(logScale)), bias),
  })
}
