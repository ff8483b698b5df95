// AMDIM's noise-contrastive loss between global features of one view and the maps of local
// features of the other (Bachman, Hjelm and Buchwalter 2019, https://arxiv.org/abs/1906.00910,
// sections 3.3 and 3.4; costs.py of its code).
//
//   a_i [R] sources, b_jl [R] the L locations of image j's map
//   raw_ijl = a_i·b_jl / √R     s = c tanh(raw / c)
//   loss    = 1/NL Σ_il log(1 + exp(d_il)),  d_il = lse_i - s_iil,  lse_i = logsumexp_{j≠i,m} s_ijm
//   penalty = λ/(NNL) Σ raw²,  of scores before they are clipped
//
// An image's own locations are its positives. Each is compared with all locations of the other
// images, never with another positive, so one logsumexp serves them all. With A_i = Σ_l 1/(exp
// s_iil + exp lse_i):
//   NL ds_ijm = exp(s_ijm) A_i for j ≠ i,  -1/(1 + exp(-d_il)) for i's own
//   draw = ds (1 - tanh²) + 2λ raw / (NNL)
//   da_i = Σ_jl draw_ijl b_jl / √R,  db_jl = Σ_i draw_ijl a_i / √R
//
// Scores are computed tile by tile: once in the forward pass and twice in the backward pass, for
// sources and for maps. Of the N x NL scores only N numbers per kind of sum are stored, and the NL
// positives while the loss is computed.

import { type Op, type Tensor, elementwise, flatIndex, kernel } from '../op.ts'
import { lines } from '../wgsl/lines.ts'
import { mapsBackward, sourcesBackward } from './nce-maps-backward.ts'
import { type NceMapsAttrs, sizesOf } from './nce-maps-sizes.ts'
import { mapScores } from './nce-maps-scores.ts'
import { lowest } from '../wgsl/lowest.ts'
import { log1pUnit } from '../wgsl/pointwise.ts'
import { anything, checkOptions, checkTensor, flag } from '../options.ts'

const rowsKernel = kernel`
  struct Params { N: u32, L: u32, splits: u32, alone: u32 }
  @group(0) @binding(0) var<storage, read>       partial:   array<f32>; // [top | sum | squares, splits, N], N of all views
  @group(0) @binding(1) var<storage, read>       positives: array<f32>; // s_iil [N, L]
  @group(0) @binding(2) var<storage, read_write> rowStats:  array<f32>; // [loss | squares | lse | log A, N]
  @group(0) @binding(3) var<uniform>             p:         Params;
  ${flatIndex}
  ${lowest}
  ${log1pUnit}
  fn softplus(d: f32) -> f32 { return max(d, 0.0) + log1pUnit(exp(-abs(d))); }
  @compute @workgroup_size(64)
  fn nceMapsRows(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.N) { return; }
    var top = LOWEST;
    for (var b = 0u; b < p.splits; b++) { top = max(top, partial[b * p.N + i]); }
    var sum = 0.0;
    var squares = 0.0;
    for (var b = 0u; b < p.splits; b++) {
      sum += partial[(p.splits + b) * p.N + i] * exp(partial[b * p.N + i] - top);
      squares += partial[(2u * p.splits + b) * p.N + i];
    }
    var lse = LOWEST; // of one image alone, which has no negatives
    if (p.alone == 0u) { lse = top + log(sum); }
    var loss = 0.0;
    var low = -LOWEST; // of each positive's logsumexp with the negatives
    for (var l = 0u; l < p.L; l++) {
      let s = positives[i * p.L + l];
      let one = softplus(lse - s);
      loss += one;
      low = min(low, s + one);
    }
    var A = 0.0;
    for (var l = 0u; l < p.L; l++) {
      let s = positives[i * p.L + l];
      A += exp(low - s - softplus(lse - s));
    }
    rowStats[i] = loss;
    rowStats[p.N + i] = squares;
    rowStats[2u * p.N + i] = lse;
    rowStats[3u * p.N + i] = log(A) - low;
  }
`

const totalKernel = kernel`
  struct Params { N: u32, perPositive: f32, perScore: f32 }
  @group(0) @binding(0) var<storage, read>       sums:    array<f32>; // [loss | squares | ..., N]
  @group(0) @binding(1) var<storage, read_write> loss:    array<f32>; // []
  @group(0) @binding(2) var<storage, read_write> penalty: array<f32>; // []
  @group(0) @binding(3) var<uniform>             p:       Params;
  ${lines}
  @compute @workgroup_size(64)
  fn nceMapsTotal(@builtin(local_invocation_index) lane: u32) {
    var own = vec2f();
    for (var i = lane; i < p.N; i += 64u) { own += vec2f(sums[i], sums[p.N + i]); }
    let total = vec2f(lineSum(lane, own.x), lineSum(lane, own.y));
    if (lane > 0u) { return; }
    loss[0] = total.x * p.perPositive;
    penalty[0] = total.y * p.perScore;
  }
`

type NceMapsInputs = [sources: Tensor, maps: Tensor]
type NceMapsOutputs = [loss: Tensor, penalty: Tensor, rowStats: Tensor]

/** Exported for its test. */
export const nceMapsOp: Op<NceMapsInputs, NceMapsOutputs, NceMapsAttrs> = {
  name: 'nceMaps',

  shape(attrs, sources, maps) {
    sizesOf(attrs, sources, maps)
    return []
  },

  forward(run, attrs, sources, maps) {
    const sizes = sizesOf(attrs, sources.shape, maps.shape)
    const { views, N, L } = sizes
    const all = views * N
    const { partial, positives, splits } = mapScores(run, { ...attrs, ...sizes }, sources, maps)
    const [rowStats] = run(rowsKernel, {
      reads: [partial, positives],
      makes: [[4, all]],
      params: { N: all, L, splits, alone: Number(N === 1) },
      groups: elementwise(all),
    })
    const [loss, penalty] = run(totalKernel, {
      reads: [rowStats],
      makes: [[], []],
      params: { N: all, perPositive: 1 / (all * L), perScore: attrs.penalty / (all * N * L) },
      groups: [1],
    })
    return [loss, penalty, rowStats]
  },

  backward(
    run,
    attrs,
    [dloss, dpenalty = null],
    [sources, maps],
    [, , rowStats],
    [toSources, toMaps],
  ) {
    const sizes = sizesOf(attrs, sources.shape, maps.shape)
    const sum = { ...attrs, ...sizes, rowStats, dloss, dpenalty }
    return [
      toSources ? sourcesBackward(run, sum, sources, maps) : null,
      toMaps ? mapsBackward(run, sum, sources, maps) : null,
    ]
  },
}

/** Options of `nceMaps`. */
export interface NceMapsOptions {
  /** c of the scores' c tanh(raw / c), above 0; 20 by default. */
  readonly clip?: number
  /** λ of the penalty λ mean(raw²), from 0; 0.05 by default. */
  readonly penalty?: number
  /** true: sources and maps are of two views of N / 2 images, one behind the other. Each view's
   *  sources meet the other view's maps, and loss and penalty are means of both directions. false
   *  by default. */
  readonly crossed?: boolean
}

/** AMDIM's loss of sources [N, R], global features or single local ones of one view, with maps [N,
 *  ..., R], local features of the other view at L positions -> loss [] and penalty [], both
 *  differentiable in both. `clip` is the c of c tanh(raw / c), 20 by default. `penalty` is the λ
 *  of λ mean(raw²), 0.05 by default, as in the authors' code (0.04 in the paper). Rows are not
 *  normalised. The loss equals log(1 + (N - 1) L) when all scores are equal, 0 for N = 1. NaN
 *  anywhere makes both NaN. Infinity clips its scores and makes the penalty infinite, or both NaN
 *  on a GPU. Memory is O(N L), whatever R is, besides the gradients. Throws ShapeError, and
 *  RangeError for the options. */
export function nceMaps(
  sources: Tensor,
  maps: Tensor,
  options: NceMapsOptions = {},
): { readonly loss: Tensor; readonly penalty: Tensor } {
  const rules = { clip: anything, penalty: anything, crossed: flag }
  const { clip = 20, penalty = 0.05, crossed = false } = checkOptions('nceMaps', options, rules)
  checkTensor('nceMaps', 'sources', sources)
  checkTensor('nceMaps', 'maps', maps)
  const [loss, squares] = sources.gpu.apply(nceMapsOp, { clip, penalty, crossed }, [sources, maps])
  return { loss, penalty: squares }
}
