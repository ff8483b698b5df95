// The gradient of InfoNCE for its queries: partial sums of infonce-attend.ts, added and brought
// back through the normalisation.

import {
  type Run,
  type Scalar,
  type Shape,
  type Tensor,
  derive,
  dim,
  kernel,
  matrix,
} from '../op.ts'
import { padded } from '../similarity/tiles.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { eightRows, rowwise } from '../wgsl/rowwise.ts'

const backwardKernel = kernel`
  struct Params { N: u32, C: u32, rows: u32, splits: u32, factor: f32, normalized: u32 }
  @group(0) @binding(0) var<storage, read>       qT:         array<f32>; // [C, rows]
  @group(0) @binding(1) var<storage, read>       kT:         array<f32>; // [C, rows]
  @group(0) @binding(2) var<storage, read>       scale:      array<f32>; // [rows]
  @group(0) @binding(3) var<storage, read>       statistics: array<f32>; // [top | sum, splits, rows]
  @group(0) @binding(4) var<storage, read>       partial:    array<f32>; // [splits, C padded to 8, rows]
  @group(0) @binding(5) var<storage, read>       rowStats:   array<f32>; // [loss | top | share / sum, rows]
  @group(0) @binding(6) var<storage, read>       dloss:      array<f32>; // []
  @group(0) @binding(7) var<storage, read_write> dq:         array<f32>; // [N, C]
  @group(0) @binding(8) var<uniform>             p:          Params;
  ${rowwise}
  fn weightedSum(n: u32, c: u32) -> f32 { // share (Σ_j p_j queue_j - k)
    let size = (p.C + 7u) / 8u * 8u * p.rows;
    let top = rowStats[p.rows + n];
    var sum = 0.0;
    var weights = 0.0;
    for (var s = 0u; s < p.splits; s++) {
      let rescale = exp(statistics[s * p.rows + n] - top);
      sum += partial[s * size + c * p.rows + n] * rescale;
      weights += statistics[(p.splits + s) * p.rows + n] * rescale;
    }
    return rowStats[2u * p.rows + n] * (sum - weights * kT[c * p.rows + n]);
  }
  // Backward of the normalisation: dx = (dq - (dq·q) q) / |x|
  @compute @workgroup_size(64)
  fn infonceBackward(${groupEntry}) {
    let n = rowOf(group, groups, thread);
    var along = 0.0;
    for (var c = sliceOf(thread); c < p.C; c += 8u) {
      along += weightedSum(n, c) * qT[c * p.rows + n];
    }
    along = select(rowSum(thread, along), 0.0, p.normalized == 1u);
    let weight = dloss[0] * scale[n] * p.factor;
    if (n >= p.N) { return; }
    for (var c = sliceOf(thread); c < p.C; c += 8u) {
      dq[n * p.C + c] = (weightedSum(n, c) - along * qT[c * p.rows + n]) * weight;
    }
  }
`

/** What the forward pass saves. */
interface Saved {
  /** [C, rows], unit queries. */
  readonly qT: Tensor
  /** [C, rows], unit keys. */
  readonly kT: Tensor
  /** [rows], 1 / |q|, or 0. */
  readonly scale: Tensor
  /** [top | sum, splits, rows]. */
  readonly statistics: Tensor
  /** [splits, C padded to 8, rows]. */
  readonly partial: Tensor
  /** [loss | top | share / sum, rows]. */
  readonly rowStats: Tensor
}

/** Returns dq of the queries' shape [N, C]. */
export function queriesBackward(
  run: Run,
  { qT, kT, scale, statistics, partial, rowStats }: Saved,
  dloss: Tensor,
  of: { readonly temperature: Scalar; readonly normalized: boolean; readonly shape: Shape },
): Tensor {
  const [N, C] = matrix(of.shape, 'infoNce: q')
  const [dq] = run(backwardKernel, {
    reads: [qT, kT, scale, statistics, partial, rowStats, dloss],
    makes: [[N, C]],
    params: {
      ...{ N, C, rows: padded(N), splits: dim(statistics.shape, 1) },
      ...{ factor: derive(of.temperature, (T) => 1 / (N * T)), normalized: Number(of.normalized) },
    },
    groups: eightRows(N),
  })
  return dq
}
