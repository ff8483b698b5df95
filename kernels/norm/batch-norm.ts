// Batch normalisation over all dimensions but the last (Ioffe and Szegedy 2015, Algorithm 1), and
// what follows it in a residual network, in one pass over the images:
//   y = (x - mean) / sqrt(variance + eps) gamma + beta,  then + residual,  then max(., 0)
// The last two are optional.
// Training normalises by the batch's mean and biased variance, and updates the running statistics,
// with the unbiased variance, as torch does.

import { type Op, type Tensor, ShapeError, dim, op, show, sizeOf } from '../op.ts'
import { batchNormBackward } from './batch-norm-backward.ts'
import type { Running } from './batch-stats.ts'
import { type NormAttrs, type NormInputs, type NormOutputs, batchNormForward } from './normalize.ts'
import {
  anything,
  checkOptions,
  checkTensor,
  describe,
  flag,
  needed,
  notNegative,
  number,
  orNull,
  tensor,
} from '../options.ts'

export type { Running }

/** Options of `batchNorm`. */
export interface BatchNormOptions {
  /** true: normalise by the batch's statistics and update the running ones. false: by the running
   *  ones. */
  readonly training: boolean
  /** Share of the batch's statistics in the running ones, per call; 0.1 by default. */
  readonly momentum?: number
  /** Added to the variance; 1e-5 by default. */
  readonly eps?: number
  /** Added to the result, of x's shape: the other path of a residual block. */
  readonly residual?: Tensor | null
  /** End with max(., 0), NaN staying NaN, as `relu` does. */
  readonly relu?: boolean
  /** In training: groups of the batch, the samples n of equal n mod splits. Each is normalised by
   *  its own statistics, and the running ones follow the groups' mean (SplitBatchNorm of MoCo's
   *  CIFAR-10 demo). 1 by default. */
  readonly splits?: number
  /** In training: batches that lie one behind another in x, such as two views. Each is normalised
   *  by its own statistics, and the running ones follow each in turn, as if each had come alone. 1
   *  by default; not together with splits. */
  readonly batches?: number
}

export const batchNormOp: Op<NormInputs, NormOutputs, NormAttrs> = {
  name: 'batchNorm',
  accepts: ['float', 'f32', 'f32', 'float'],
  takesParts: true,
  shape({ training, running, splits, inTurn }, x, gamma, beta, ...[residual]) {
    if (x.length < 2)
      throw new ShapeError(`batchNorm: x must have rows and channels [..., C], got ${show(x)}`)
    const C = dim(x, x.length - 1)
    const named = { gamma, beta, mean: running?.mean.shape, variance: running?.variance.shape }
    for (const [name, shape] of Object.entries(named)) {
      if (shape && (shape.length !== 1 || shape[0] !== C))
        throw new ShapeError(
          `batchNorm: ${name} must have one value per channel, got ${show(shape)} for x ${show(x)}`,
        )
    }
    if (residual && residual.join() !== x.join())
      throw new ShapeError(
        `batchNorm: residual must have x's shape, got ${show(residual)} for x ${show(x)}`,
      )
    if (!training && !running)
      throw new ShapeError('batchNorm: running statistics are needed outside training, got null')
    if (!Number.isInteger(splits) || splits < 1 || dim(x, 0) % splits !== 0)
      throw new ShapeError(
        `batchNorm: ${inTurn ? 'batches' : 'splits'} must divide the samples of x ${show(x)}, got ${describe(splits)}`,
      )
    if (!training && splits > 1)
      throw new ShapeError(
        `batchNorm: there are ${inTurn ? 'batches' : 'splits'} in training only, got ${splits}`,
      )
    if (training && sizeOf(x) <= C * splits)
      throw new ShapeError(
        `batchNorm: training needs more than one value per channel${splits > 1 ? ` and ${inTurn ? 'batch' : 'split'}` : ''}, got x ${show(x)}${splits > 1 ? ` in ${splits} ${inTurn ? 'batches' : 'splits'}` : ''}`,
      )
    return x
  },
  forward: (run, attrs, ...inputs) => batchNormForward(run, attrs, inputs),
  backward(
    run,
    { training, rectified, splits, inTurn },
    [dy],
    [x, gamma, beta, residual],
    [y, stats, marks],
    needs,
    addend = null,
  ) {
    const [dxNeeded = false, dGammaNeeded = false, dBetaNeeded = false, dResidualNeeded = false] =
      needs
    const wanted = { training, rectified, splits, inTurn, residual: residual !== undefined }
    const { dx, dGamma, dBeta, dResidual } = batchNormBackward(
      run,
      [dy, addend],
      { x, gamma, beta, y, stats, marks },
      { ...wanted, dx: dxNeeded, sums: dGammaNeeded || dBetaNeeded },
    )
    const gradients = [
      dxNeeded ? dx : null,
      dGammaNeeded ? dGamma : null,
      dBetaNeeded ? dBeta : null,
    ]
    return residual ? [...gradients, dResidualNeeded ? dResidual : null] : gradients
  },
}

const apply = op(batchNormOp, 'x', 'gamma', 'beta', 'residual')

/** Normalises x [..., C] per channel, times gamma [C], plus beta [C]; then, if asked for, adds a
 *  residual and applies ReLU, in the same pass. In training, updates running statistics, if given,
 *  in place, before the step that calls this ends. Throws ShapeError, also for fewer than two
 *  values per channel, splits that do not divide the batch, and running statistics that are not f32
 *  [C] on x's Gpu. */
export function batchNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  running: Running | null,
  given: BatchNormOptions,
): Tensor {
  const { residual = null, ...options } = checkOptions('batchNorm', given, normRules)
  const attrs = settings(x, running, options)
  return residual ? apply(attrs, x, gamma, beta, residual) : apply(attrs, x, gamma, beta)
}

/** The rules of a batch norm's options. */
export const normRules = {
  training: needed(flag),
  momentum: number,
  eps: notNegative,
  residual: orNull(tensor),
  relu: flag,
  splits: anything,
  batches: anything,
}

/** The settings, defaults filled in. x is the input, or what a convolution computes it from. Throws
 *  ShapeError for running statistics that are not f32, or not on x's Gpu. */
export function settings(
  x: Tensor,
  running: Running | null,
  {
    training,
    momentum = 0.1,
    eps = 1e-5,
    relu: rectified = false,
    splits: interleaved = 1,
    batches = 1,
  }: Omit<BatchNormOptions, 'residual'>,
): NormAttrs {
  checkTensor('batchNorm', 'x', x)
  for (const name of ['mean', 'variance'] as const) {
    if (!running) break
    const statistic = running[name]
    checkTensor('batchNorm', `running ${name}`, statistic)
    const { dtype, shape } = statistic
    if (dtype !== 'f32')
      throw new ShapeError(`batchNorm: running ${name} must be f32, got ${dtype} ${show(shape)}`)
    if (statistic.gpu !== x.gpu)
      throw new ShapeError(
        `batchNorm: running ${name} ${show(shape)} belongs to another Gpu than x`,
      )
  }
  if (interleaved !== 1 && batches !== 1)
    throw new ShapeError(
      `batchNorm: give splits or batches, not both, got ${describe(interleaved)} and ${describe(batches)}`,
    )
  const inTurn = batches !== 1
  const splits = inTurn ? batches : interleaved
  return { training, momentum, eps, rectified, splits, inTurn, running }
}
