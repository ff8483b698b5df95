// NT-Xent, the normalised temperature-scaled cross entropy of SimCLR (https://arxiv.org/abs/2002.05709, Eq. 1).
//
//   z = all 2N views, unit rows; view i's positive is the other view of its image     s_ij = z_i·z_j / T
//   loss = 1/2N Σ_i log(1 + exp(d_i)),  d_i = logsumexp_{j negative} s_ij - s_i,pos
//   dz_i = 1/(2N T) Σ_j G_ij z_j,  G_ij = P_ij + P_ji for negatives, -(share_i + share_j) for the positive,
//   where P_ij = exp(s_ij - logsumexp_all_i) and share_i = 1/(1 + exp(-d_i)) is what the negatives take from the positive
//
// Keeping the negatives apart from the positive loses no digits when the loss is small; the running maximum holds at any
// temperature. One workgroup owns one row; nothing of size N^2 is stored.

import {
  type Op,
  type Shape,
  type Tensor,
  ShapeError,
  elementwise,
  flatIndex,
  kernel,
  matrix,
  op,
  show,
  wgsl,
} from './op.ts'
import { lines, linewise } from './lines.ts'
import { log1pUnit } from './pointwise.ts'
import { readStrided } from './strided.ts'

const unitKernel = kernel`
  struct Params { N: u32, D: u32, normalized: u32 }
  @group(0) @binding(0) var<storage, read>       z1:    array<f32>; // [N, D]
  @group(0) @binding(1) var<storage, read>       z2:    array<f32>; // [N, D]
  @group(0) @binding(2) var<storage, read_write> z:     array<f32>; // [2N, D], unit rows
  @group(0) @binding(3) var<storage, read_write> scale: array<f32>; // [2N], 1 / length; 0 where there is no direction
  @group(0) @binding(4) var<uniform>             p:     Params;
  ${flatIndex}
  fn view(row: u32, c: u32) -> f32 {
    if (row < p.N) { return z1[row * p.D + c]; }
    return z2[(row - p.N) * p.D + c];
  }
  @compute @workgroup_size(64)
  fn ntxentUnit(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let row = flat(id, groups);
    if (row >= 2u * p.N) { return; }
    var square = 0.0;
    for (var c = 0u; c < p.D; c++) { square += view(row, c) * view(row, c); }
    let length = sqrt(square);
    let s = select(1.0 / max(length, 1e-12), 1.0, p.normalized == 1u); // torch.nn.functional.normalize's eps
    scale[row] = select(s, 0.0, p.normalized == 0u && length <= 1e-12); // as l2Normalize: a dead row gets no gradient
    for (var c = 0u; c < p.D; c++) { z[row * p.D + c] = view(row, c) * s; }
  }
`

const common = wgsl`
  struct Params { rows: u32, D: u32, T: f32, normalized: u32 }
  ${lines}

  fn similarity(i: u32, j: u32) -> f32 {
    var dot = 0.0;
    for (var c = 0u; c < p.D; c++) { dot += z[i * p.D + c] * z[j * p.D + c]; }
    return dot / p.T;
  }
  fn positiveOf(i: u32) -> u32 { return (i + p.rows / 2u) % p.rows; }
`

const rowsKernel = kernel`
  @group(0) @binding(0) var<storage, read>       z:     array<f32>;   // [2N, D]
  @group(0) @binding(1) var<storage, read_write> stats: array<vec4f>; // [2N]: loss, logsumexp of all, share of the negatives, 0
  @group(0) @binding(2) var<uniform>             p:     Params;
  ${common}
  ${log1pUnit}

  @compute @workgroup_size(64)
  fn ntxentRows(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
  ) {
    let i = lineIndex(group, groups);
    if (i >= p.rows) { return; } // the whole workgroup: where rows are folded, some are left over
    let positive = positiveOf(i);
    var top = -0x1.fffffep+127f;
    var sum = 0.0;
    for (var j = lane; j < p.rows; j += 64u) {
      if (j == i || j == positive) { continue; }
      let s = similarity(i, j);
      if (s > top) {
        sum = sum * exp(top - s) + 1.0;
        top = s;
      } else {
        sum += exp(s - top);
      }
    }
    let most = lineMax(lane, top);
    let total = lineSum(lane, sum * exp(top - most));
    if (lane > 0u) { return; }
    let s = similarity(i, positive);
    if (total == 0.0) { // N = 1: there are no negatives
      stats[i] = vec4f(0.0, s, 0.0, 0.0);
      return;
    }
    let negatives = most + log(total);
    let d = negatives - s;
    let loss = max(d, 0.0) + log1pUnit(exp(-abs(d)));
    let share = select(exp(d) / (1.0 + exp(d)), 1.0 / (1.0 + exp(-d)), d > 0.0);
    stats[i] = vec4f(loss, s + loss, share, 0.0);
  }
`

const meanKernel = kernel`
  struct Params { rows: u32 }
  @group(0) @binding(0) var<storage, read>       stats: array<vec4f>; // [2N]
  @group(0) @binding(1) var<storage, read_write> loss:  array<f32>;   // []
  @group(0) @binding(2) var<uniform>             p:     Params;
  ${lines}
  @compute @workgroup_size(64)
  fn ntxentMean(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < p.rows; i += 64u) { sum += stats[i].x; }
    let total = lineSum(lane, sum);
    if (lane == 0u) { loss[0] = total / f32(p.rows); }
  }
`

const backwardKernel = kernel`
  @group(0) @binding(0) var<storage, read>       z:     array<f32>;   // [2N, D]
  @group(0) @binding(1) var<storage, read>       scale: array<f32>;   // [2N]
  @group(0) @binding(2) var<storage, read>       stats: array<vec4f>; // [2N]
  @group(0) @binding(3) var<storage, read>       dloss: array<f32>;   // []
  @group(0) @binding(4) var<storage, read_write> dz:    array<f32>;   // [2N, D]
  @group(0) @binding(5) var<uniform>             p:     Params;
  ${common}
  var<workgroup> G: array<f32, 64>;

  @compute @workgroup_size(64)
  fn ntxentBackward(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
  ) {
    let i = lineIndex(group, groups);
    if (i >= p.rows) { return; }
    let positive = positiveOf(i);
    for (var c = lane; c < p.D; c += 64u) { dz[i * p.D + c] = 0.0; }
    for (var j0 = 0u; j0 < p.rows; j0 += 64u) {
      let j = j0 + lane;
      var g = 0.0;
      if (j == positive) {
        g = -(stats[i].z + stats[j].z);
      } else if (j < p.rows && j != i) {
        let s = similarity(i, j);
        g = exp(s - stats[i].y) + exp(s - stats[j].y);
      }
      G[lane] = g;
      workgroupBarrier();
      for (var c = lane; c < p.D; c += 64u) {
        var sum = 0.0;
        for (var k = 0u; k < min(64u, p.rows - j0); k++) { sum += G[k] * z[(j0 + k) * p.D + c]; }
        dz[i * p.D + c] += sum;
      }
      workgroupBarrier();
    }
    // through the normalisation: dx = (dz - (dz·z) z) / |x|
    var sum = 0.0;
    for (var c = lane; c < p.D; c += 64u) { sum += dz[i * p.D + c] * z[i * p.D + c]; }
    let dot = select(lineSum(lane, sum), 0.0, p.normalized == 1u);
    let weight = dloss[0] * scale[i] / (f32(p.rows) * p.T);
    for (var c = lane; c < p.D; c += 64u) {
      let e = i * p.D + c;
      dz[e] = (dz[e] - dot * z[e]) * weight;
    }
  }
`

interface Options {
  readonly temperature: number
  readonly normalized: boolean
}

/** Checks shapes and temperature, and names the sizes: N images, D features. */
function sizes({ temperature }: Options, z1: Shape, z2: Shape) {
  const [N, D] = matrix(z1, 'ntXent: z1')
  if (z1.join() !== z2.join())
    throw new ShapeError(`ntXent: the two views must have one shape, got ${show(z1)} and ${show(z2)}`)
  if (N === 0 || D === 0)
    throw new ShapeError(`ntXent: needs at least one row and one feature, got ${show(z1)}`)
  if (!(temperature > 0 && Number.isFinite(temperature)))
    throw new RangeError(`ntXent: the temperature must be a positive number, got ${temperature}`)
  return { N, D }
}

type Outputs = [loss: Tensor, z: Tensor, scale: Tensor, stats: Tensor]

/** Exported for its test, which folds the dispatch. */
export const ntXentOp: Op<[z1: Tensor, z2: Tensor], Outputs, Options> = {
  name: 'ntXent',

  shape(attrs, z1, z2) {
    sizes(attrs, z1, z2)
    return []
  },

  forward(run, attrs, z1, z2) {
    const { N, D } = sizes(attrs, z1.shape, z2.shape)
    const normalized = Number(attrs.normalized)
    const rows = 2 * N
    const [z, scale] = run(unitKernel, {
      reads: [z1, z2],
      makes: [[rows, D], [rows]],
      params: { N, D, normalized },
      groups: elementwise(rows),
    })
    const params = { rows, D, T: attrs.temperature, normalized }
    const [stats] = run(rowsKernel, { reads: [z], makes: [[rows, 4]], params, groups: linewise(rows) })
    const [loss] = run(meanKernel, { reads: [stats], makes: [[]], params, groups: [1] })
    return [loss, z, scale, stats]
  },

  backward(run, attrs, [dloss], [z1], [, z, scale, stats]) {
    const [N, D] = matrix(z1.shape, 'ntXent: z1')
    const rows = 2 * N
    const [dz] = run(backwardKernel, {
      reads: [z, scale, stats, dloss],
      makes: [[rows, D]],
      params: { rows, D, T: attrs.temperature, normalized: Number(attrs.normalized) },
      groups: linewise(rows),
    })
    return [0, N * D].map((offset) => readStrided(run, dz, [N, D], { strides: [D, 1], offset }))
  },
}

const applyNtXent = op(ntXentOp)

/** The mean NT-Xent loss of two views z1 [N, D] and z2 [N, D] of N images -> [], at a temperature above 0. Rows are
 *  normalised inside unless `normalized` says that they are unit already; a zero row gets no gradient. Equals
 *  log(2N - 1) when all rows are equal. Throws ShapeError, and RangeError for the temperature. */
export const ntXent = (z1: Tensor, z2: Tensor, temperature: number, { normalized = false } = {}) =>
  applyNtXent({ temperature, normalized }, z1, z2)
