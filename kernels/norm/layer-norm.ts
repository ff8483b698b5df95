// Layer normalisation over the last axis (Ba et al. 2016, section 3):
//   y = (x - mean) / sqrt(variance + eps) gamma + beta

import { type Op, type Tensor, ShapeError, dim, op, show, sizeOf, wgsl } from '../op.ts'
import { checkOptions, notNegative } from '../options.ts'
import { type GroupNormOutputs, type Groups, checkScales, groupMoments } from './group-moments.ts'

const moments = groupMoments({
  name: wgsl`layerNorm`,
  walk: wgsl`
    fn at(line: u32, r: u32) -> u32 { return line * p.C + r; }
    fn channel(line: u32, r: u32) -> u32 { return r; }
    fn groupAt(row: u32, c: u32) -> u32 { return row; }
  `,
})

function groupsOf({ shape }: Tensor): Groups {
  const C = dim(shape, shape.length - 1)
  const rows = sizeOf(shape.slice(0, -1))
  return { count: rows, R: C, rows, C, K: C, P: 1, G: 1 }
}

interface Attrs {
  readonly eps: number
}

type Inputs = readonly [x: Tensor, gamma: Tensor, beta: Tensor]

const layerNormOp: Op<Inputs, GroupNormOutputs, Attrs> = {
  name: 'layerNorm',
  shape(_, x, gamma, beta) {
    if (x.length === 0)
      throw new ShapeError(`layerNorm: x must have a last axis [..., C], got ${show(x)}`)
    checkScales('layerNorm', x, { gamma, beta })
    return x
  },
  forward: (run, { eps }, ...inputs) => moments.forward(run, groupsOf(inputs[0]), eps, inputs),
  backward: (run, _, [dy], [x, gamma], [, stats], needs) =>
    moments.backward(run, groupsOf(x), { dy, x, gamma, stats }, needs),
}

const applyLayerNorm = op(layerNormOp, 'x', 'gamma', 'beta')

/** (x - mean) / sqrt(variance + eps) gamma + beta, with mean and biased variance of each row of the
 *  last axis, like torch's layer_norm: x [..., C], gamma and beta [C]. `eps` is added to the
 *  variance, 1e-5 by default. A row with a NaN becomes NaN. Throws ShapeError. */
export function layerNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  options: Partial<Attrs> = {},
): Tensor {
  const { eps = 1e-5 } = checkOptions('layerNorm', options, { eps: notNegative })
  return applyLayerNorm({ eps }, x, gamma, beta)
}
