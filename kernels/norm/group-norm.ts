// Group normalisation (Wu and He 2018) of images or other arrays [N, ..., C]: each sample's
// channels are split into G groups of neighbours, and each group is normalised over all positions:
//   y = (x - mean) / sqrt(variance + eps) gamma + beta

import { type Op, type Tensor, ShapeError, dim, op, show, sizeOf, wgsl } from '../op.ts'
import { checkOptions, checkTensor, checkValue, count, notNegative } from '../options.ts'
import { type GroupNormOutputs, type Groups, checkScales, groupMoments } from './group-moments.ts'

const moments = groupMoments({
  name: wgsl`groupNorm`,
  walk: wgsl`
    fn channel(line: u32, r: u32) -> u32 { return line % p.G * p.K + r % p.K; }
    fn at(line: u32, r: u32) -> u32 {
      return (line / p.G * p.P + r / p.K) * p.C + channel(line, r);
    }
    fn groupAt(row: u32, c: u32) -> u32 { return row / p.P * p.G + c / p.K; }
  `,
})

interface Attrs {
  readonly groups: number
  readonly eps: number
}

function groupsOf({ groups: G }: Attrs, { shape }: Tensor): Groups {
  const [N, C] = [dim(shape, 0), dim(shape, shape.length - 1)]
  const [P, K] = [sizeOf(shape.slice(1, -1)), C / G]
  return { count: N * G, R: P * K, rows: N * P, C, K, P, G }
}

type Inputs = readonly [x: Tensor, gamma: Tensor, beta: Tensor]

const groupNormOp: Op<Inputs, GroupNormOutputs, Attrs> = {
  name: 'groupNorm',
  shape({ groups }, x, gamma, beta) {
    if (x.length < 2)
      throw new ShapeError(
        `groupNorm: x must have samples and channels [N, ..., C], got ${show(x)}`,
      )
    if (dim(x, x.length - 1) % groups !== 0)
      throw new ShapeError(
        `groupNorm: groups must divide the channels of x ${show(x)}, got ${groups}`,
      )
    checkScales('groupNorm', x, { gamma, beta })
    return x
  },
  forward: (run, attrs, ...inputs) =>
    moments.forward(run, groupsOf(attrs, inputs[0]), attrs.eps, inputs),
  backward: (run, attrs, [dy], [x, gamma], [, stats], needs) =>
    moments.backward(run, groupsOf(attrs, x), { dy, x, gamma, stats }, needs),
}

const applyGroupNorm = op(groupNormOp, 'x', 'gamma', 'beta')

/** Normalises each sample's `groups` groups of neighbouring channels, over all positions, like
 *  torch's group_norm: x [N, ..., C], gamma and beta [C]. `eps` is added to the biased variance,
 *  1e-5 by default. A group with a NaN becomes NaN. Throws ShapeError, also unless `groups` divides
 *  C. */
export function groupNorm(
  x: Tensor,
  groups: number,
  gamma: Tensor,
  beta: Tensor,
  options: { readonly eps?: number } = {},
): Tensor {
  checkTensor('groupNorm', 'x', x)
  checkValue('groupNorm', 'groups', groups, count)
  const { eps = 1e-5 } = checkOptions('groupNorm', options, { eps: notNegative })
  return applyGroupNorm({ groups, eps }, x, gamma, beta)
}
