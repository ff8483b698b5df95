// The gradients of batch normalisation, in two passes over the images:
//   dbeta = sum(dz)    dgamma = sum(dz x^)
//   dx = gamma / deviation (dz - mean(dz) - x^ mean(dz x^))
// x^ is the normalised x, dz is dy where ReLU let it through, else 0, and mean() is over the batch.
// Outside training the statistics are constants, and dx has its first term alone (share = 0).
//
// The ReLU mask is recomputed from x^ gamma + beta. With a residual it is read from y, which the
// next convolution saves anyway, or, of f16, from bits (relu-mask.ts); dz is also the residual's
// gradient, and is written once.
//
// The first pass sums dz. Where y's gradient is pending (pending.ts), the kernel that computes it
// does that too, and applies the mask.

import { type Run, type Tensor, dim } from '../op.ts'
import { Pending } from '../pending.ts'
import {
  backwardKernel,
  mergeKernel,
  residualSumsKernel,
  sumsKernel,
} from './batch-norm-backward-kernels.ts'
import { type Splits, extent, partitionRows, perChannel, rowsPerSum } from './batch-rows.ts'
import { mergedSums } from './merge-sums.ts'
import { MARKED_ROWS } from '../wgsl/relu-mask.ts'
import { accumulate } from '../optim/accumulate.ts'
import { sumTwoSplits } from '../wgsl/sum-splits.ts'

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

/** y's gradient, perhaps pending, and an addend that is added where it is read first. */
export type GivenGradient = readonly [dy: Tensor, addend: Tensor | null]

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
  const { dz, masked, sums, parts } = firstPass(run, given, normalized, wanted)
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
      constants: { ...second.constants, rectified: Number(!masked) },
      groups: second.groups,
    })[0]
  const [ofGamma, ofBeta] = sums
    ? sumTwoSplits(run, { partial: dGamma, out: [C] }, { partial: dBeta, out: [C] })
    : [run.view(dGamma, [C]), run.view(dBeta, [C])]
  return { dx: wanted.dx ? dx() : null, dGamma: ofGamma, dBeta: ofBeta, dResidual: dz }
}

interface FirstPass {
  /** y's gradient behind the ReLU; where `masked` is false, the mask is still to be applied. */
  readonly dz: Tensor
  readonly masked: boolean
  /** The sums over parts of the rows. */
  readonly sums: Tensor | null
  readonly parts: number
}

function firstPass(
  run: Run,
  [given, addend]: GivenGradient,
  normalized: Normalized,
  wanted: Wanted,
): FirstPass {
  if (!(given instanceof Pending)) return ownPass(run, [given, addend], normalized, wanted)
  const { x, gamma, beta, stats, marks } = normalized
  const { training, rectified, residual, splits } = wanted
  const suits = given.suitsNorm && splits === 1 && (training || wanted.sums)
  if (!suits || (rectified && residual ? !marks : addend))
    return ownPass(run, [given.compute(), addend], normalized, wanted)
  const { interleave } = partitionRows(x, MARKED_ROWS, wanted).params
  const made = given.computeFor({
    ...{ x, stats, gamma, beta, rectified, addend },
    marks: marks ? { bits: marks, interleave } : null,
  })
  const sums = mergedSums(run, made.sums)
  return { dz: made.dz, masked: true, sums, parts: dim(sums.shape, 1) }
}

/** Without a residual the mask is applied by each pass. */
function ownPass(
  run: Run,
  [given, addend]: GivenGradient,
  { x, gamma, beta, y, stats, marks }: Normalized,
  wanted: Wanted,
): FirstPass {
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
    return { dz, masked: true, sums, parts }
  }
  const masked = !wanted.rectified
  const dz = addend ? accumulate(run, given, addend) : given
  if (!wanted.sums && !wanted.training) return { dz, masked, sums: null, parts }
  const [sums] = run(sumsKernel(x, C), {
    ...pass,
    reads: [dz, x, stats, gamma, beta],
    makes: [[2, parts, C]],
    constants: { ...pass.constants, rectified: Number(!masked) },
  })
  return { dz, masked, sums, parts }
}
