// The forward and backward pass of one convolution and its batch norm.

import type { Run, Tensor } from '../op.ts'
import {
  type GivenGradient,
  type Normalized,
  batchNormBackward,
} from '../norm/batch-norm-backward.ts'
import type { NormAttrs } from '../norm/normalize.ts'
import { conv2dOp } from './conv2d.ts'
import { convWeightGradient } from './weight-gradient.ts'
import { type Steps, convForward, convForwardMoments, convInputGradient } from './forward.ts'

/** The settings of a convolution and its batch norm. */
export interface ConvNormAttrs {
  readonly steps: Steps
  readonly norm: NormAttrs
}

/** A convolution, and its moments if the batch norm needs them and the device gives them. */
export function convolved(run: Run, norm: NormAttrs, steps: Steps, x: Tensor, w: Tensor) {
  const out = conv2dOp.shape(steps, x.shape, w.shape)
  if (!norm.training || norm.splits > 1)
    return { z: convForward(run, x, w, out, steps), moments: null }
  const { y: z, moments } = convForwardMoments(run, x, w, out, steps)
  return { z, moments }
}

/** The forward pass of one convolution and its batch norm, and which of x, w, gamma and beta need a
 *  gradient. */
interface Passed {
  readonly x: Tensor
  readonly w: Tensor
  readonly normalized: Normalized
  /** Whether a residual was added. */
  readonly isBehind: boolean
  readonly needs: readonly boolean[]
}

/** Returns the gradients of x, w, gamma and beta, and of the residual, from y's. */
export function convNormBackward(
  run: Run,
  { steps, norm: { training, rectified, splits, inTurn } }: ConvNormAttrs,
  given: GivenGradient,
  { x, w, normalized, isBehind, needs }: Passed,
) {
  const [dxNeeded = false, dwNeeded = false, dGammaNeeded = false, dBetaNeeded = false] = needs
  const {
    dx: dz,
    dGamma,
    dBeta,
    dResidual,
  } = batchNormBackward(run, given, normalized, {
    ...{ training, rectified, splits, inTurn, residual: isBehind },
    ...{ dx: dxNeeded || dwNeeded, sums: dGammaNeeded || dBetaNeeded },
  })
  const dw = dwNeeded && dz ? convWeightGradient(run, x, dz, w.shape, steps) : null
  const dx = dxNeeded && dz ? convInputGradient(run, dz, w, x, steps) : null
  const gradients = [dx, dw, dGammaNeeded ? dGamma : null, dBetaNeeded ? dBeta : null]
  return { gradients, dResidual }
}
