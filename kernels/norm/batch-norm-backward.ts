// The gradients of batch normalisation, in two passes over the images:
//   dbeta = sum(dz)    dgamma = sum(dz x^)    dx = gamma / deviation (dz - mean(dz) - x^ mean(dz
//   x^))
// x^ is the normalised x, dz is dy where ReLU let it through, else 0, and mean() is over the batch.
// Outside training the statistics are constants, and dx has its first term alone (share = 0).
//
// The ReLU mask is recomputed from x^ gamma + beta. With a residual it is read from y, which the
// next convolution saves anyway, or, of f16, from bits (relu-marks.ts); dz is also the residual's
// gradient, and is written once.

import type { Run, Tensor } from '../op.ts'
import {
  backwardKernel,
  mergeKernel,
  residualSumsKernel,
  sumsKernel,
} from './batch-norm-backward-kernels.ts'
import { extent, partitionRows, perChannel, rowsPerSum } from './batch-rows.ts'
import { MARKED_ROWS } from './relu-marks.ts'
import { accumulate } from '../optim/accumulate.ts'
import { sumAxes } from '../wgsl/reduce.ts'

const ROWS = 16 // of a thread in the second pass

/** Inputs and outputs of the forward pass. */
export interface Normalized {
  /** What was normalised. */
  readonly x: Tensor
  readonly gamma: Tensor
  readonly beta: Tensor
  readonly y: Tensor
  readonly stats: Tensor
  /** ReLU's mask, where the forward pass gives it. */
  readonly marks?: Tensor | undefined
}

/** The gradients of x (null unless wanted), gamma, beta, and the residual, from y's, whose addend,
 *  if there is one, is added where it is read first. `rectified`: a ReLU came last. */
export function batchNormBackward(
  run: Run,
  [given, addend]: readonly [dy: Tensor, addend: Tensor | null],
  { x, gamma, beta, y, stats, marks }: Normalized,
  wanted: {
    readonly training: boolean
    readonly rectified: boolean
    readonly splits: number
    readonly residual: boolean
    readonly dx: boolean
    readonly sums: boolean
  },
) {
  const { C } = extent(x)
  const { splits } = wanted
  const masked = wanted.rectified && wanted.residual // the first pass applies the mask, for both gradients
  const again = { rectified: Number(wanted.rectified && !wanted.residual) }
  const rows = rowsPerSum(run, x)
  const each = marks ? Math.ceil(rows / MARKED_ROWS) * MARKED_ROWS : rows
  const { parts, ...pass } = partitionRows(x, each, splits)
  const dy = addend && !masked ? accumulate(run, given, addend) : given
  const { shape, dtype } = x
  let [dz, sums]: [Tensor, Tensor | null] = [dy, null]
  if (masked)
    [dz, sums] = run(residualSumsKernel(x, marks), {
      ...pass,
      reads: [dy, x, stats, marks ?? y, addend ?? dy],
      makes: [{ shape, dtype }, [2, parts, C]],
      constants: { ...pass.constants, added: Number(addend !== null) },
    })
  else if (wanted.sums || wanted.training)
    [sums] = run(sumsKernel(x, C), {
      ...pass,
      reads: [dy, x, stats, gamma, beta],
      makes: [[2, parts, C]],
      constants: { ...pass.constants, ...again },
    })
  const ofSplits = [splits, C]
  const [dBeta, dGamma] = sums
    ? run(mergeKernel, {
        reads: [sums],
        makes: [ofSplits, ofSplits],
        params: { C, parts, splits },
        ...perChannel(run, splits * C),
      })
    : [gamma, gamma]
  const second = partitionRows(x, ROWS, splits)
  const dx = () =>
    run(backwardKernel(x, C), {
      reads: [dz, x, stats, gamma, beta, dBeta, dGamma],
      makes: [{ shape, dtype }],
      params: { ...second.params, share: wanted.training ? 1 / second.params.M : 0 },
      constants: { ...second.constants, ...again },
      groups: second.groups,
    })[0]
  const ofAll = (d: Tensor) => run.view(splits > 1 ? sumAxes(run, d, [0]) : d, [C])
  return { dx: wanted.dx ? dx() : null, dGamma: ofAll(dGamma), dBeta: ofAll(dBeta), dResidual: dz }
}
