// NT-Xent, the normalised temperature-scaled cross entropy of SimCLR
// (https://arxiv.org/abs/2002.05709, Eq. 1).
//
//   z = all 2N views, unit rows; view i's positive is the other view of its image
//   s_ij = z_i·z_j / T
//   loss = 1/2N Σ_i log(1 + exp(d_i)),  d_i = logsumexp_{j negative} s_ij - s_i,pos
//   dz_i = 1/(2N T) Σ_j G_ij z_j
//   G_ij = P_ij + P_ji for negatives, -(share_i + share_j) for the positive
//   with P_ij = exp(s_ij - logsumexp_all_i) and share_i = 1/(1 + exp(-d_i)), the softmax of all
//   negatives of i together
//
// Negatives and the positive are kept apart, so that a small loss loses no digits. Nothing of size
// N^2 is stored: kernels/similarity/ computes the similarities tile by tile, once in the forward
// pass for each row's statistics and once in the backward pass for G.

import {
  type Op,
  type Run,
  type Scalar,
  type Shape,
  type Tensor,
  derive,
  dim,
  elementwise,
  flatIndex,
  kernel,
  op,
  wgsl,
} from '../op.ts'
import { lines } from '../wgsl/lines.ts'
import { zeroTimes } from '../wgsl/nan.ts'
import { pairsBackward, weightedSumKernel } from '../similarity/pairs-backward.ts'
import { runStatistics, statisticsKernel } from '../similarity/row-statistics.ts'
import { type Pairs, type Unit, isUnit, pairsOf, unitRows } from '../similarity/pairs.ts'
import { type Temperature, atTemperature } from './temperature.ts'
import { lowest } from '../wgsl/lowest.ts'
import { log1pUnit, preciseLog } from '../wgsl/pointwise.ts'

const logSumExpKernel = statisticsKernel(
  wgsl`ntxentStatistics`,
  wgsl`
  @group(0) @binding(2) var<storage, read_write> partial: array<f32>; // [2, blocks, 2V]
  @group(0) @binding(3) var<uniform>             p:       Params;

  const EXTRA = false;
  fn extra(i: vec4u, j: u32, s: vec4f) -> vec4f { return vec4f(); }
  fn counts(i: vec4u, j: u32) -> vec4<bool> { // the negatives: rows of other images
    return exists(i) & exists(vec4u(j)) & (image(i) != image(vec4u(j)));
  }
`,
)

// Four planes per row: its loss; the logsumexp that its negatives' weights are relative to; its
// gradient with respect to the positive, negated; and the similarity to the positive.
const rowsKernel = kernel`
  struct Params { N: u32, view: u32, D: u32, blocks: u32, scale: f32, decoupled: u32 }
  @group(0) @binding(0) var<storage, read>       zT:       array<f32>; // [D, 2V]
  @group(0) @binding(1) var<storage, read>       partial:  array<f32>; // [2, blocks, 2V]
  @group(0) @binding(2) var<storage, read_write> rowStats: array<f32>; // [loss | lse | share | positive, 2V]
  @group(0) @binding(3) var<uniform>             p:        Params;
  ${flatIndex}
  ${lowest}
  ${log1pUnit}
  ${preciseLog}
  ${zeroTimes}
  @compute @workgroup_size(64)
  fn ntxentRows(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    let rows = 2u * p.view;
    if (i >= rows) { return; }
    var top = LOWEST;
    for (var b = 0u; b < p.blocks; b++) { top = max(top, partial[b * rows + i]); }
    var sum = 0.0;
    for (var b = 0u; b < p.blocks; b++) {
      sum += partial[(p.blocks + b) * rows + i] * exp(partial[b * rows + i] - top);
    }
    let positive = select(i + p.view, i - p.view, i >= p.view);
    var s = 0.0;
    // In the order in which tiles add up.
    for (var c = 0u; c < p.D; c++) { s = fma(zT[c * rows + i], zT[c * rows + positive], s); }
    s *= p.scale;
    let alone = p.N == 1u || min(i, positive) >= p.N; // no negatives: N = 1, or padding
    let d = top - s + preciseLog(sum); // in this order: similarities in the hundreds hide digits
    var loss = d;
    var lse = top + preciseLog(sum);
    var share = 1.0;
    if (p.decoupled == 0u) {
      // An infinite positive makes d NaN, but max and abs may hide that.
      loss = max(d, 0.0) + log1pUnit(exp(-abs(d))) + zeroTimes(s);
      lse = s + loss;
      share = select(exp(d) / (1.0 + exp(d)), 1.0 / (1.0 + exp(-d)), d > 0.0);
    }
    rowStats[i] = select(loss, zeroTimes(s), alone);
    rowStats[rows + i] = select(lse, s, alone);
    rowStats[2u * rows + i] = select(share, 0.0, alone);
    rowStats[3u * rows + i] = s;
  }
`

// mean = base + Σ (loss - base) / count, with the first loss as base, so that only differences are
// rounded. The base is 0 where the first loss is not finite.
const meanKernel = kernel`
  struct Params { N: u32, view: u32, rows: u32 }
  @group(0) @binding(0) var<storage, read>       losses: array<f32>; // [rows], N of every V count
  @group(0) @binding(1) var<storage, read_write> loss:   array<f32>; // []
  @group(0) @binding(2) var<uniform>             p:      Params;
  ${lines}
  @compute @workgroup_size(64)
  fn ntxentMean(@builtin(local_invocation_index) lane: u32) {
    let first = losses[0];
    let base = select(0.0, first, (bitcast<u32>(first) & 0x7f800000u) != 0x7f800000u);
    var sum = 0.0;
    for (var begin = 0u; begin < p.rows; begin += p.view) {
      for (var n = lane; n < p.N; n += 64u) { sum += losses[begin + n] - base; }
    }
    let total = lineSum(lane, sum);
    if (lane == 0u) { loss[0] = base + total / f32(p.rows / p.view * p.N); }
  }
`

const gradientKernel = weightedSumKernel(
  wgsl`ntxentWeightedSum`,
  wgsl`
  @group(0) @binding(3) var<storage, read>       rowStats: array<f32>; // [loss | lse | share | ..., 2V]
  @group(0) @binding(4) var<storage, read_write> partial:  array<Partial>; // [splits, D padded to 8, 2V]
  @group(0) @binding(5) var<uniform>             p:        Params;

  var<private> lse: vec4f = vec4f();
  var<private> shares: vec4f = vec4f(); // of both views of the image
  fn prepare(i: vec4u) {
    for (var r = 0u; r < 4u; r++) {
      lse[r] = rowStats[p.rows + i[r]];
      shares[r] = rowStats[2u * p.rows + i[r]] + rowStats[2u * p.rows + (i[r] + p.view) % p.rows];
    }
  }
  fn weigh(i: vec4u, j: u32, s: vec4f) -> vec4f {
    let both = exists(i) & exists(vec4u(j));
    let negative = select(vec4f(), exp(s - lse) + exp(s - rowStats[p.rows + j]), both);
    return select(negative, select(-shares, vec4f(), i == vec4u(j)), image(i) == image(vec4u(j)));
  }
`,
)

interface ContrastAttrs {
  readonly temperature: Scalar
  readonly normalized: boolean
}

/** A variant of NT-Xent. */
export interface Kind {
  /** Compares a row only with rows of the other view. */
  readonly across?: boolean
  /** Leaves the positive out of the denominator. */
  readonly decoupled?: boolean
  /** Returns `rowStats` with weights applied to the positives. */
  readonly weigh?: (run: Run, rowStats: Tensor, pairs: Pairs) => Tensor
}

type ContrastOutputs = [loss: Tensor, z: Tensor, zT: Tensor, scale: Tensor, rowStats: Tensor]

/** Builds the op `name` of two views for one variant. */
export function contrast(
  name: string,
  kind: Kind,
): Op<[z1: Tensor, z2: Tensor], ContrastOutputs, ContrastAttrs> {
  const { across = false, decoupled = false, weigh } = kind
  const flags = { decoupled: Number(decoupled) }
  const layout = (attrs: ContrastAttrs, z1: Shape, z2: Shape) =>
    pairsOf(name, attrs.temperature, z1, z2, across)
  return {
    name,

    shape(attrs, z1, z2) {
      layout(attrs, z1, z2)
      return []
    },

    forward(run, attrs, z1, z2) {
      const pairs = layout(attrs, z1.shape, z2.shape)
      const { N, view, D, T } = pairs
      const unit = unitRows(run, z1, z2, pairs, attrs.normalized)
      const partial = runStatistics(run, logSumExpKernel, pairs, unit)
      const blocks = dim(partial.shape, 1)
      const [rows] = run(rowsKernel, {
        reads: [unit.zT, partial],
        makes: [[4, 2 * view]],
        params: { N, view, D, blocks, scale: derive(T, (t) => 1 / t), ...flags },
        groups: elementwise(2 * view),
      })
      const rowStats = weigh ? weigh(run, rows, pairs) : rows
      return [meanOfRows(run, rowStats, pairs), unit.z, unit.zT, unit.scale, rowStats]
    },

    backward(run, attrs, [dloss], [z1, z2], [, z, zT, scale, rowStats]) {
      const pairs = layout(attrs, z1.shape, z2.shape)
      const factor = derive(pairs.T, (T) => 1 / (2 * pairs.N * T))
      const how = { reads: [rowStats], dloss, factor, normalized: attrs.normalized }
      return pairsBackward(run, gradientKernel, pairs, { z, zT, scale }, how)
    },
  }
}

/** The mean of the losses, the first plane of `rowStats` [planes, rows] -> []. The first N of every
 *  `view` rows count. */
export function meanOfRows(
  run: Run,
  rowStats: Tensor,
  { N, view }: Pick<Pairs, 'N' | 'view'>,
): Tensor {
  const params = { N, view, rows: dim(rowStats.shape, 1) }
  const [loss] = run(meanKernel, { reads: [rowStats], makes: [[]], params, groups: [1] })
  return loss
}

/** Exported for its test. */
export const ntXentOp = contrast('ntXent', {})
const applyNtXent = op(ntXentOp, 'z1', 'z2')

/** The mean NT-Xent loss of two views z1 [N, D] and z2 [N, D] of N images -> [], at a temperature
 *  above 0, which gets a gradient if it is a tensor []. Rows are normalised inside unless
 *  `normalized`; a zero row gets no gradient. Equals log(2N - 1) when all rows are equal, 0 for N =
 *  1. NaN or infinity in any row makes it NaN. Memory is O(N D). Throws ShapeError, and RangeError
 *  for the temperature. */
export const ntXent = (z1: Tensor, z2: Tensor, temperature: Temperature, options: Unit = {}) =>
  atTemperature(
    { name: 'ntXent', temperature, normalized: isUnit('ntXent', options) },
    [z1, z2],
    applyNtXent,
  )
