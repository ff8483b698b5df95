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
import { type Splits, extent, partitionRows, perChannel, rowsPerSum } from './batch-rows.ts'
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

/** Which gradients are needed, and what the forward pass did. `rectified`: a ReLU came last. */
interface Wanted extends Splits {
  readonly training: boolean
  readonly rectified: boolean
  readonly residual: boolean
  readonly dx: boolean
  readonly sums: boolean
}

/** y's gradient, and an addend that is added where it is read first. */
type GivenGradient = readonly [dy: Tensor, addend: Tensor | null]

/** Returns the gradients of x (null unless wanted), gamma, beta, and the residual, from y's. */
export function batchNormBackward(
  run: Run,
  given: GivenGradient,
  normalized: Normalized,
  wanted: Wanted,
) {
  const { x, gamma, beta, stats } = normalized
  const { C } = extent(x)
  const { splits } = wanted
  const { dz, sums, parts } = firstPass(run, given, normalized, wanted)
  const ofSplits = [splits, C]
  const [dBeta, dGamma] = sums
    ? run(mergeKernel, {
        reads: [sums],
        makes: [ofSplits, ofSplits],
        params: { C, parts, splits },
        ...perChannel(run, splits * C),
      })
    : [gamma, gamma]
  const second = partitionRows(x, ROWS, wanted)
  const dx = () =>
    run(backwardKernel(x, C), {
      reads: [dz, x, stats, gamma, beta, dBeta, dGamma],
      makes: [{ shape: x.shape, dtype: x.dtype }],
      params: { ...second.params, share: wanted.training ? 1 / second.params.M : 0 },
      constants: { ...second.constants, ...maskedAgain(wanted) },
      groups: second.groups,
    })[0]
  const ofAll = (d: Tensor) => run.view(splits > 1 ? sumAxes(run, d, [0]) : d, [C])
  return { dx: wanted.dx ? dx() : null, dGamma: ofAll(dGamma), dBeta: ofAll(dBeta), dResidual: dz }
}

/** Returns dz, y's gradient behind the ReLU, and the sums over parts of the rows; of no residual the
 *  mask is applied by each pass. */
function firstPass(
  run: Run,
  [given, addend]: GivenGradient,
  { x, gamma, beta, y, stats, marks }: Normalized,
  wanted: Wanted,
): { readonly dz: Tensor; readonly sums: Tensor | null; readonly parts: number } {
  const { C } = extent(x)
  const rows = rowsPerSum(run, x)
  const each = marks ? Math.ceil(rows / MARKED_ROWS) * MARKED_ROWS : rows
  const { parts, ...pass } = partitionRows(x, each, wanted)
  if (wanted.rectified && wanted.residual) {
    const [dz, sums] = run(residualSumsKernel(x, marks), {
      ...pass,
      reads: [given, x, stats, marks ?? y, addend ?? given],
      makes: [{ shape: x.shape, dtype: x.dtype }, [2, parts, C]],
      constants: { ...pass.constants, added: Number(addend !== null) },
    })
    return { dz, sums, parts }
  }
  const dz = addend ? accumulate(run, given, addend) : given
  if (!wanted.sums && !wanted.training) return { dz, sums: null, parts }
  const [sums] = run(sumsKernel(x, C), {
    ...pass,
    reads: [dz, x, stats, gamma, beta],
    makes: [[2, parts, C]],
    constants: { ...pass.constants, ...maskedAgain(wanted) },
  })
  return { dz, sums, parts }
}

/** Tells passes to apply ReLU's mask themselves: without a residual nothing has applied it yet. */
const maskedAgain = ({ rectified, residual }: Wanted) => ({
  rectified: Number(rectified && !residual),
})
