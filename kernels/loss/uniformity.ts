// Uniformity on the unit sphere (Wang and Isola 2020, https://arxiv.org/abs/2005.10242, section 4.1.2),
// the logarithm of the mean Gaussian potential of all pairs:
//
//   L = log 1/(N (N - 1)) Σ_{i≠j} exp(-t |z_i - z_j|²),  |z_i - z_j|² = 2 - 2 z_i·z_j
//     = logsumexp_{i≠j} s_ij - 2t - log(N (N - 1)),      s_ij = 2t z_i·z_j
//   dz_i = 2t Σ_j G_ij z_j,  G_ij = 2 exp(s_ij - logsumexp)
//
// So it is a loss over similarities at the temperature 1 / 2t, and nothing of size N² is stored.

import { type Op, type Tensor, ShapeError, dim, kernel, op, show, wgsl } from '../op.ts'
import { checkOptions, flag, positive } from '../options.ts'
import { pairsBackward, weightedSumKernel } from '../similarity/pairs-backward.ts'
import { setOf, unitRows } from '../similarity/pairs.ts'
import { runStatistics, statisticsKernel } from '../similarity/row-statistics.ts'
import { lines } from '../wgsl/lines.ts'
import { lowest } from '../wgsl/lowest.ts'
import { preciseLog } from '../wgsl/pointwise.ts'

const statistics = statisticsKernel(
  wgsl`uniformityStatistics`,
  wgsl`
  @group(0) @binding(2) var<storage, read_write> partial: array<f32>; // [2, blocks, R]
  @group(0) @binding(3) var<uniform>             p:       Params;

  const EXTRA = false;
  fn extra(i: vec4u, j: u32, s: vec4f) -> vec4f { return vec4f(); }
  fn counts(i: vec4u, j: u32) -> vec4<bool> {
    return exists(i) & exists(vec4u(j)) & (i != vec4u(j));
  }
`,
)

// The sum is taken relative to the largest s, 2t at most, so that a small loss keeps its digits.
const totalKernel = kernel`
  struct Params { N: u32, rows: u32, blocks: u32, twoT: f32, logPairs: f32 }
  @group(0) @binding(0) var<storage, read>       partial: array<f32>; // [top | sum, blocks, R]
  @group(0) @binding(1) var<storage, read_write> loss:    array<f32>; // []
  @group(0) @binding(2) var<storage, read_write> lse:     array<f32>; // [], of all pairs
  @group(0) @binding(3) var<uniform>             p:       Params;
  ${lowest}
  ${lines}
  ${preciseLog}
  @compute @workgroup_size(64)
  fn uniformityTotal(@builtin(local_invocation_index) lane: u32) {
    var own = LOWEST;
    for (var i = lane; i < p.N; i += 64u) {
      for (var b = 0u; b < p.blocks; b++) { own = max(own, partial[b * p.rows + i]); }
    }
    let top = lineMax(lane, own);
    var sum = 0.0;
    for (var i = lane; i < p.N; i += 64u) {
      for (var b = 0u; b < p.blocks; b++) {
        sum += partial[(p.blocks + b) * p.rows + i] * exp(partial[b * p.rows + i] - top);
      }
    }
    let total = preciseLog(lineSum(lane, sum));
    if (lane == 0u) {
      loss[0] = (top - p.twoT) + (total - p.logPairs);
      lse[0] = top + total;
    }
  }
`

const gradientKernel = weightedSumKernel(
  wgsl`uniformityWeightedSum`,
  wgsl`
  @group(0) @binding(3) var<storage, read>       lse:     array<f32>; // []
  @group(0) @binding(4) var<storage, read_write> partial: array<Partial>; // [splits, D padded to 8, R]
  @group(0) @binding(5) var<uniform>             p:       Params;

  fn prepare(i: vec4u) {}
  fn weigh(i: vec4u, j: u32, s: vec4f) -> vec4f {
    let counts = exists(i) & exists(vec4u(j)) & (i != vec4u(j));
    return select(vec4f(), 2.0 * exp(s - lse[0]), counts);
  }
`,
)

interface Attrs {
  readonly t: number
  readonly normalized: boolean
}

type Outputs = [loss: Tensor, z: Tensor, zT: Tensor, scale: Tensor, lse: Tensor]

/** Exported for its test. */
export const uniformityOp: Op<[z: Tensor], Outputs, Attrs> = {
  name: 'uniformity',

  shape({ t }, z) {
    const { N } = setOf('uniformity', 1 / (2 * t), z)
    if (N < 2) throw new ShapeError(`uniformity: needs at least two rows, got ${show(z)}`)
    return []
  },

  forward(run, { t, normalized }, z) {
    const set = setOf('uniformity', 1 / (2 * t), z.shape)
    const unit = unitRows(run, z, z, set, normalized)
    const partial = runStatistics(run, statistics, set, unit)
    const { N, view: rows } = set
    const [loss, lse] = run(totalKernel, {
      reads: [partial],
      makes: [[], []],
      params: {
        N,
        rows,
        blocks: dim(partial.shape, 1),
        twoT: 2 * t,
        logPairs: Math.log(N * (N - 1)),
      },
      groups: [1],
    })
    return [loss, unit.z, unit.zT, unit.scale, lse]
  },

  backward(run, { t, normalized }, [dloss], [x], [, z, zT, scale, lse]) {
    const set = setOf('uniformity', 1 / (2 * t), x.shape)
    const how = { reads: [lse], dloss, factor: 2 * t, normalized }
    return [pairsBackward(run, gradientKernel, set, { z, zT, scale }, how)[0]]
  },
}

const apply = op(uniformityOp, 'z')

/** Options of `uniformity`. */
export interface UniformityOptions {
  /** t of the Gaussian potential, above 0; 2 by default, as in the paper. */
  readonly t?: number
  /** True if rows have unit length already; false by default. */
  readonly normalized?: boolean
}

/** The uniformity of rows z [N, D] -> []: 0 when all are one direction, negative the better they
 *  spread over the sphere. Pairs of a row with itself do not count. Rows are normalised inside
 *  unless `normalized`. Memory is O(N D). Throws ShapeError for fewer than two rows, and RangeError
 *  for t. */
export function uniformity(z: Tensor, options: UniformityOptions = {}): Tensor {
  const { t = 2, normalized = false } = checkOptions('uniformity', options, {
    t: positive,
    normalized: flag,
  })
  return apply({ t, normalized }, z)
}
