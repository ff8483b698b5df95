// The pairwise sigmoid loss of SigLIP (Zhai et al. 2023, https://arxiv.org/abs/2303.15343,
// Algorithm 1). Every pair of a row of z1 and a row of z2 is a classification of its own, match or
// no match, so that no row needs a sum over the others.
//
//   x_nm = t z1_n·z2_m + b,  t = exp(t')     y_nm = 1 where n = m, else -1
//   loss = 1/N Σ_nm softplus(-y_nm x_nm)
//   g_nm = -y_nm σ(-y_nm x_nm)
//   dz1_n = t/N Σ_m g_nm z2_m,  dt' = t/N Σ g_nm z1_n·z2_m,  db = 1/N Σ g_nm

import {
  type Op,
  type Run,
  type Tensor,
  ShapeError,
  folded,
  kernel,
  op,
  show,
  sizeOf,
  wgsl,
} from '../op.ts'
import { splitColumns } from '../similarity/split-columns.ts'
import { lines } from '../wgsl/lines.ts'
import { pairsBackward, weightedSumKernel } from '../similarity/pairs-backward.ts'
import {
  type Pairs,
  type Unit,
  isUnit,
  pairParams,
  pairsOf,
  pairsParams,
  unitRows,
} from '../similarity/pairs.ts'
import { log1pUnit } from '../wgsl/pointwise.ts'
import { fourRows, pairTiles } from '../similarity/tiles.ts'

const pair = wgsl`
  fn label(i: vec4u, j: u32) -> vec4f {
    return select(vec4f(-1.0), vec4f(1.0), image(i) == image(vec4u(j)));
  }
  fn logit(s: vec4f) -> vec4f { return exp(logScale[0]) * s + bias[0]; }
  fn gradient(y: vec4f, x: vec4f) -> vec4f { // -y / (1 + exp(y x)), safe for any x
    let e = exp(-abs(x));
    return -y * select(e / (1.0 + e), 1.0 / (1.0 + e), y * x < vec4f());
  }
`

const sumsKernel = pairTiles(
  ({ head, entry, prologue, score }) => kernel`
  ${head}
  @group(0) @binding(0) var<storage, read>       rows:     array<Rows>; // [D, 2V]
  @group(0) @binding(1) var<storage, read>       columns:  array<Columns>; // [D, 2V]
  @group(0) @binding(2) var<storage, read>       logScale: array<f32>; // []
  @group(0) @binding(3) var<storage, read>       bias:     array<f32>; // []
  @group(0) @binding(4) var<storage, read_write> sums:     array<f32>; // [loss | g s | g, splits, V]
  @group(0) @binding(5) var<uniform>             p:        Params;
  ${pairParams}
  ${score}
  ${fourRows}
  ${pair}
  ${log1pUnit}

  @compute @workgroup_size(THREADS)
  fn sigLipSums(
    ${entry},
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
  ) {
    ${prologue}
    let row = (group.y * groups.x + group.x) * ROWS;
    if (row >= p.view) { return; } // a dispatch may have a few tiles more
    let own = groupOf(thread);
    let i = fourRows(row + own * 4u);
    let begin = p.view + group.z * p.span;
    var total = array<vec4f, 3>();
    for (var column = begin; column < min(begin + p.span, p.rows); column += COLUMNS) {
      score(row, column, subgroup);
      for (var k = 0u; k < COLUMNS / SLICES; k++) {
        let c = k * SLICES + sliceOf(thread);
        let s = tileAt(c, own);
        let x = logit(s);
        let y = label(i, column + c);
        let both = exists(i) & exists(vec4u(column + c));
        let e = exp(-abs(x));
        let small = vec4f(log1pUnit(e.x), log1pUnit(e.y), log1pUnit(e.z), log1pUnit(e.w));
        let g = select(vec4f(), gradient(y, x), both);
        total[0] += select(vec4f(), max(-y * x, vec4f()) + small, both);
        total[1] += g * s;
        total[2] += g;
      }
      fence();
    }
    // Threads exchange sums through the tile's memory.
    for (var k = 0u; k < 3u; k++) { setTile(8u * k, thread, total[k]); }
    fence();
    if (thread >= GROUPS) { return; }
    for (var other = thread + GROUPS; other < THREADS; other += GROUPS) {
      for (var k = 0u; k < 3u; k++) { total[k] += tileAt(8u * k, other); }
    }
    for (var k = 0u; k < 3u; k++) {
      for (var r = 0u; r < 4u; r++) {
        sums[(k * p.blocks + group.z) * p.view + i[r]] = total[k][r];
      }
    }
  }
`,
)

const totalKernel = kernel`
  struct Params { count: u32, perImage: f32 }
  @group(0) @binding(0) var<storage, read>       sums:   array<f32>; // [loss | g s | g, count]
  @group(0) @binding(1) var<storage, read_write> loss:   array<f32>; // []
  @group(0) @binding(2) var<storage, read_write> slopes: array<f32>; // [g s, g]
  @group(0) @binding(3) var<uniform>             p:      Params;
  ${lines}
  @compute @workgroup_size(64)
  fn sigLipTotal(@builtin(local_invocation_index) lane: u32) {
    var own = vec3f();
    for (var e = lane; e < p.count; e += 64u) {
      own += vec3f(sums[e], sums[p.count + e], sums[2u * p.count + e]);
    }
    let all = vec3f(lineSum(lane, own.x), lineSum(lane, own.y), lineSum(lane, own.z));
    let total = all * p.perImage;
    if (lane > 0u) { return; }
    loss[0] = total.x;
    slopes[0] = total.y;
    slopes[1] = total.z;
  }
`

const gradientKernel = weightedSumKernel(
  wgsl`sigLipWeightedSum`,
  wgsl`
  @group(0) @binding(3) var<storage, read>       logScale: array<f32>; // []
  @group(0) @binding(4) var<storage, read>       bias:     array<f32>; // []
  @group(0) @binding(5) var<storage, read_write> partial:  array<Partial>; // [splits, D padded to 8, 2V]
  @group(0) @binding(6) var<uniform>             p:        Params;
  ${pair}
  fn prepare(i: vec4u) {}
  fn weigh(i: vec4u, j: u32, s: vec4f) -> vec4f {
    let g = gradient(label(i, j), logit(s)) * exp(logScale[0]);
    return select(vec4f(), g, exists(i) & exists(vec4u(j)));
  }
`,
)

const slopesKernel = kernel`
  @group(0) @binding(0) var<storage, read>       slopes:    array<f32>; // [g s, g] / N
  @group(0) @binding(1) var<storage, read>       logScale:  array<f32>; // []
  @group(0) @binding(2) var<storage, read>       dloss:     array<f32>; // []
  @group(0) @binding(3) var<storage, read_write> dlogScale: array<f32>; // []
  @group(0) @binding(4) var<storage, read_write> dbias:     array<f32>; // []
  @compute @workgroup_size(1)
  fn sigLipSlopes() {
    dlogScale[0] = dloss[0] * exp(logScale[0]) * slopes[0];
    dbias[0] = dloss[0] * slopes[1];
  }
`

interface Attrs {
  readonly normalized: boolean
}

type SigLipInputs = [z1: Tensor, z2: Tensor, logScale: Tensor, bias: Tensor]
type SigLipOutputs = [loss: Tensor, z: Tensor, zT: Tensor, scale: Tensor, slopes: Tensor]

/** Sums each row of z1 over every split of z2's rows: [loss | g s | g, splits, V]. */
function runSums(run: Run, pairs: Pairs, zT: Tensor, scalars: readonly Tensor[]): Tensor {
  const { view } = pairs
  const { tiles, splits, span } = splitColumns(run, { rows: view, columns: view, enough: 1024 })
  const [sums] = run(sumsKernel(run), {
    reads: [zT, zT, ...scalars],
    makes: [[3, splits, view]],
    params: { ...pairsParams(pairs), blocks: splits, span },
    groups: [...folded(tiles), splits],
  })
  return sums
}

/** Exported for its test. */
export const sigLipOp: Op<SigLipInputs, SigLipOutputs, Attrs> = {
  name: 'sigLip',

  shape(_, z1, z2, ...scalars) {
    pairsOf('sigLip', 1, z1, z2, true)
    const bad = scalars.find((shape) => shape.length > 0)
    if (bad)
      throw new ShapeError(
        `sigLip: the log scale and the bias must be scalars [], got ${show(bad)}`,
      )
    return []
  },

  forward(run, { normalized }, z1, z2, logScale, bias) {
    const pairs = pairsOf('sigLip', 1, z1.shape, z2.shape, true)
    const { z, zT, scale } = unitRows(run, z1, z2, pairs, normalized)
    const sums = runSums(run, pairs, zT, [logScale, bias])
    const [loss, slopes] = run(totalKernel, {
      reads: [sums],
      makes: [[], [2]],
      params: { count: sizeOf(sums.shape.slice(1)), perImage: 1 / pairs.N },
      groups: [1],
    })
    return [loss, z, zT, scale, slopes]
  },

  backward(run, { normalized }, [dloss], [z1, z2, logScale, bias], [, z, zT, scale, slopes]) {
    const pairs = pairsOf('sigLip', 1, z1.shape, z2.shape, true)
    const how = { reads: [logScale, bias], dloss, factor: 1 / pairs.N, normalized }
    const gradients = pairsBackward(run, gradientKernel, pairs, { z, zT, scale }, how)
    const given = [slopes, logScale, dloss]
    const scalars = run(slopesKernel, { reads: given, makes: [[], []], groups: [1] })
    return [...gradients, ...scalars]
  },
}

const applySigLip = op(sigLipOp, 'z1', 'z2', 'logScale', 'bias')

/** SigLIP's loss of z1 [N, D] and z2 [N, D], whose rows n are pairs, with the learnt log scale t'
 *  [] and bias b [] (log 10 and -10 at the start in the paper) -> []. Differentiable in all four.
 *  Rows are normalised inside unless `normalized`. Equals N softplus(0) = N log 2 when t z1·z2 + b
 *  is 0 for all pairs. Throws ShapeError unless the views have one shape and t' and b
 *  are scalars. */
export const sigLip = (
  z1: Tensor,
  z2: Tensor,
  logScale: Tensor,
  bias: Tensor,
  options: Unit = {},
) => applySigLip({ normalized: isUnit('sigLip', options) }, z1, z2, logScale, bias)
