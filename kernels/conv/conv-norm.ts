// A convolution and its batch normalisation, with the residual and ReLU of `batchNorm`, as one op:
//   z = conv2d(x, w)    y = batchNorm(z, gamma, beta)
// On a GPU the convolution computes the moments of its channels before it stores them
// (epilogue-moments.ts). Then the statistics need not read z: 1/16 of its bytes is written and read
// instead.
//
// The backward pass needs x and z, nearly all that a network saves.

import { type Op, type Tensor, op } from '../op.ts'
import {
  type BatchNormOptions,
  type Running,
  batchNormOp,
  normRules,
  settings,
} from '../norm/batch-norm.ts'
import { batchNormForward } from '../norm/normalize.ts'
import { type WindowOptions, conv2dOp, convRules, paddedInput } from './conv2d.ts'
import { type Shortcut, checkedShortcut, convNormPair } from './conv-norm-pair.ts'
import { type ConvNormAttrs, convNormBackward, convolved } from './conv-norm-parts.ts'
import { checkOptions, isTensor, orNull, record } from '../options.ts'

export type { Shortcut }

type ConvNormInputs = [
  x: Tensor,
  w: Tensor,
  gamma: Tensor,
  beta: Tensor,
  ...residual: [] | [Tensor],
]

type ConvNormOutputs = [y: Tensor, z: Tensor, stats: Tensor, ...marks: [] | [Tensor]]

/** The output z is the convolution. */
export const convNormOp: Op<ConvNormInputs, ConvNormOutputs, ConvNormAttrs> = {
  name: 'convNorm',
  accepts: ['float', 'f32', 'f32', 'f32', 'float'],
  takesParts: true,
  shape({ steps, norm }, x, w, gamma, beta, ...[residual]) {
    const z = conv2dOp.shape(steps, x, w)
    return residual
      ? batchNormOp.shape(norm, z, gamma, beta, residual)
      : batchNormOp.shape(norm, z, gamma, beta)
  },
  flops: ({ steps }, x, w, ..._others) => conv2dOp.flops?.(steps, x, w) ?? 0,
  forward(run, { steps, norm }, x, w, gamma, beta, ...[residual]) {
    const { z, moments } = convolved(run, norm, steps, x, w)
    const inputs = residual ? ([z, gamma, beta, residual] as const) : ([z, gamma, beta] as const)
    const [y, stats, ...marks] = batchNormForward(run, norm, inputs, { moments })
    return [y, z, stats, ...marks]
  },
  backward(
    run,
    attrs,
    [dy],
    [x, w, gamma, beta, residual],
    [y, z, stats, marks],
    needs,
    addend = null,
  ) {
    const { gradients, dResidual } = convNormBackward(run, attrs, [dy, addend], {
      ...{ x, w, normalized: { x: z, gamma, beta, y, stats, marks } },
      ...{ isBehind: residual !== undefined, needs },
    })
    return residual ? [...gradients, needs[4] ? dResidual : null] : gradients
  },
}

const apply = op(convNormOp, 'x', 'w', 'gamma', 'beta', 'residual')

const tensorOrShortcut = {
  words: 'a tensor or a shortcut, { x, w, gamma, beta, running }',
  fits: record.fits,
}

const rules = { ...convRules, ...normRules, residual: orNull(tensorOrShortcut) }

/** Options of `convNorm`: those of its convolution and of its batch norm. */
export interface ConvNormOptions extends WindowOptions, Omit<BatchNormOptions, 'residual'> {
  /** Added to the result: a tensor of its shape, or another convolution and its batch norm, which
   *  are normalised where they are added, and in the same mode. */
  readonly residual?: Tensor | Shortcut | null
}

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
  if (residual && !isTensor(residual)) {
    const more = checkedShortcut(residual, options)
    if (norm.splits === 1) return convNormPair(attrs, [padded, w, gamma, beta], more)
    return apply(attrs, padded, w, gamma, beta, apply(more.attrs, ...more.inputs))
  }
  return residual
    ? apply(attrs, padded, w, gamma, beta, residual)
    : apply(attrs, padded, w, gamma, beta)
}
