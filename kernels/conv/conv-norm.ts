// A convolution and its batch normalisation, with the residual and ReLU of `batchNorm`, as one op:
//   z = conv2d(x, w)    y = batchNorm(z, gamma, beta)
// On a GPU the convolution computes the moments of its channels before it stores them
// (epilogue-moments.ts). Then the statistics need not read z: 1/16 of its bytes is written and read
// instead.
//
// The backward pass needs x and z, nearly all that a network saves.

import { type Op, type Tensor, op } from '../op.ts'
import { batchNormBackward } from '../norm/batch-norm-backward.ts'
import {
  type BatchNormOptions,
  type Running,
  batchNormOp,
  normRules,
  settings,
} from '../norm/batch-norm.ts'
import { type NormAttrs, batchNormForward } from '../norm/normalize.ts'
import { type Conv2dOptions, conv2dOp, convRules, paddedInput } from './conv2d.ts'
import { convWeightGradient } from './weight-gradient.ts'
import { type Steps, convForward, convDataGradient, convForwardMoments } from './forward.ts'
import { checkOptions } from '../options.ts'

interface Attrs {
  readonly steps: Steps
  readonly norm: NormAttrs
}

type ConvNormInputs = [
  x: Tensor,
  w: Tensor,
  gamma: Tensor,
  beta: Tensor,
  ...residual: [] | [Tensor],
]

type ConvNormOutputs = [y: Tensor, z: Tensor, stats: Tensor, ...marks: [] | [Tensor]]

/** The output z is the convolution. */
export const convNormOp: Op<ConvNormInputs, ConvNormOutputs, Attrs> = {
  name: 'convNorm',
  accepts: ['float', 'f32', 'f32', 'f32', 'float'],
  takesAddend: true,
  shape({ steps, norm }, x, w, gamma, beta, ...[residual]) {
    const z = conv2dOp.shape(steps, x, w)
    return residual
      ? batchNormOp.shape(norm, z, gamma, beta, residual)
      : batchNormOp.shape(norm, z, gamma, beta)
  },
  flops: ({ steps }, x, w, ..._others) => conv2dOp.flops?.(steps, x, w) ?? 0,
  forward(run, { steps, norm }, x, w, gamma, beta, ...[residual]) {
    const out = conv2dOp.shape(steps, x.shape, w.shape)
    const { y: z, moments } =
      norm.training && norm.splits === 1
        ? convForwardMoments(run, x, w, out, steps)
        : { y: convForward(run, x, w, out, steps), moments: null }
    const inputs = residual ? ([z, gamma, beta, residual] as const) : ([z, gamma, beta] as const)
    const [y, stats, ...marks] = batchNormForward(run, norm, inputs, moments)
    return [y, z, stats, ...marks]
  },
  backward(
    run,
    { steps, norm },
    [dy],
    [x, w, gamma, beta, residual],
    [y, z, stats, marks],
    needs,
    addend = null,
  ) {
    const [
      dxNeeded = false,
      dwNeeded = false,
      dGammaNeeded = false,
      dBetaNeeded = false,
      dResidualNeeded = false,
    ] = needs
    const { training, rectified, splits, inTurn } = norm
    const {
      dx: dz,
      dGamma,
      dBeta,
      dResidual,
    } = batchNormBackward(
      run,
      [dy, addend],
      { x: z, gamma, beta, y, stats, marks },
      {
        ...{ training, rectified, splits, inTurn, residual: residual !== undefined },
        ...{ dx: dxNeeded || dwNeeded, sums: dGammaNeeded || dBetaNeeded },
      },
    )
    const dw = dwNeeded && dz ? convWeightGradient(run, x, dz, w.shape, steps) : null
    const dx = dxNeeded && dz ? convDataGradient(run, dz, w, x, steps) : null
    const gradients = [dx, dw, dGammaNeeded ? dGamma : null, dBetaNeeded ? dBeta : null]
    return residual ? [...gradients, dResidualNeeded ? dResidual : null] : gradients
  },
}

const apply = op(convNormOp, 'x', 'w', 'gamma', 'beta', 'residual')

const rules = { ...convRules, ...normRules }

/** Options of `convNorm`: those of its convolution and of its batch norm. */
export interface ConvNormOptions extends Conv2dOptions, BatchNormOptions {}

/** `batchNorm(conv2d(x, w, options), gamma, beta, running, options)`, with one read of the images
 *  less in training: x [N, H, W, Cin], w [kH, kW, Cin, Cout], gamma, beta and running statistics
 *  [Cout] -> [N, Ho, Wo, Cout]. Throws what the two throw. */
export function convNorm(
  x: Tensor,
  w: Tensor,
  gamma: Tensor,
  beta: Tensor,
  running: Running | null,
  given: ConvNormOptions,
): Tensor {
  const { residual = null, ...options } = checkOptions('convNorm', given, rules)
  const norm = settings(x, running, options)
  const { steps, padded } = paddedInput(x, options)
  const attrs = { steps, norm }
  return residual
    ? apply(attrs, padded, w, gamma, beta, residual)
    : apply(attrs, padded, w, gamma, beta)
}
