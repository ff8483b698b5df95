// The gradients of batch normalisation, in two passes over the images:
//   dbeta = sum(dz)    dgamma = sum(dz x^)    dx = gamma / deviation (dz - mean(dz) - x^ mean(dz
//   x^))
// x^ is the normalised x, dz is dy where ReLU let it through, else 0, and mean() is over the batch.
// Outside training the statistics are constants, and dx has its first term alone (share = 0).
//
// The ReLU mask is not stored. It is recomputed from x^ gamma + beta, or, with a residual, read
// from y, which the next convolution saves anyway, or from a bit packed beside x^. With a residual
// dz is also the residual's gradient, and is written once.

import { type Kernel, type Run, type Tensor, type Wgsl, kernel, wgsl } from '../op.ts'
import {
  acrossParts,
  partitionRows,
  extent,
  perChannel,
  relu,
  rowParams,
  rows,
  rowsPerSum,
} from './batch-rows.ts'
import { flaggedF16 } from '../wgsl/f16-storage.ts'
import { sumAxes } from '../wgsl/reduce.ts'
import { byWidth, fours } from '../wgsl/widths.ts'

const ROWS = 16 // of a thread in the second pass

/** How a pass gets x^ and the ReLU mask: from x, or from what `normalize` saved instead of x. */
interface Source {
  /** The element type of x. */
  readonly element: Wgsl
  readonly code: Wgsl
  /** x^ at element `at`. */
  readonly normal: Wgsl
  /** Whether ReLU let that element through. */
  readonly passes: Wgsl
}

const recomputed: Source = {
  element: wgsl`F`,
  code: relu,
  normal: wgsl`(x[at] - mean) * scale`,
  passes: wgsl`passes(fma(normal, slope, shift))`,
}

const besideResidual: Source = { ...recomputed, passes: wgsl`passes(y[at])` }

const savedF16: Source = {
  element: wgsl`vec2u`,
  code: flaggedF16,
  normal: wgsl`unpackFlagged(x[at])`,
  passes: wgsl`flagsOf(x[at])`,
}

/** The kernel that `make` builds for x: f16 as saved, or images of either width. */
function bySource(make: (types: Wgsl, source: Source) => Kernel, other = recomputed) {
  const [images, saved] = [byWidth((types) => make(types, other)), make(fours, savedF16)]
  return (x: Tensor) => (x.dtype === 'f16' ? saved : images(extent(x).C))
}

const sumsKernel = bySource(
  (types, { element, code, normal, passes }) => kernel`
  struct Params { ${rowParams} }
  ${types}
  @group(0) @binding(0) var<storage, read>       dy:    array<F>; // [M, C]
  @group(0) @binding(1) var<storage, read>       x:     array<${element}>; // [M, C]
  @group(0) @binding(2) var<storage, read>       stats: array<F>; // [mean | 1 / deviation, splits, C]
  @group(0) @binding(3) var<storage, read>       gamma: array<F>; // [C]
  @group(0) @binding(4) var<storage, read>       beta:  array<F>; // [C]
  @group(0) @binding(5) var<storage, read_write> out:   array<F>; // [sums of dz | of dz x^, parts, C]
  @group(0) @binding(6) var<uniform>             p:     Params;
  override rectified: bool = false;
  ${rows}
  ${code}
  @compute @workgroup_size(64)
  fn batchNormSums(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.parts * p.C) { return; }
    let t = part(i);
    let mean = stats[statsAt(t)];
    let scale = stats[p.splits * p.C + statsAt(t)];
    let slope = gamma[t.channel];
    let shift = beta[t.channel];
    var sum = F();
    var product = F();
    for (var m = t.start; m < t.end; m += p.interleave) {
      let at = rowAt(t, m) * p.C + t.channel;
      let normal = ${normal};
      var dz = dy[at];
      if (rectified) { dz = select(F(), dz, ${passes}); }
      sum += dz;
      product = fma(dz, normal, product);
    }
    out[i] = sum;
    out[p.parts * p.C + i] = product;
  }
`,
)

const residualSumsKernel = bySource(
  (types, { element, code, normal, passes }) => kernel`
  struct Params { ${rowParams} }
  ${types}
  @group(0) @binding(0) var<storage, read>       dy:    array<F>; // [M, C]
  @group(0) @binding(1) var<storage, read>       x:     array<${element}>; // [M, C]
  @group(0) @binding(2) var<storage, read>       stats: array<F>; // [mean | 1 / deviation, splits, C]
  @group(0) @binding(3) var<storage, read>       y:     array<${element}>; // [M, C], or x again
  @group(0) @binding(4) var<storage, read_write> dz:    array<F>; // [M, C]
  @group(0) @binding(5) var<storage, read_write> out:   array<F>; // [sums of dz | of dz x^, parts, C]
  @group(0) @binding(6) var<uniform>             p:     Params;
  ${rows}
  ${code}
  @compute @workgroup_size(64)
  fn batchNormResidualSums(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.parts * p.C) { return; }
    let t = part(i);
    let mean = stats[statsAt(t)];
    let scale = stats[p.splits * p.C + statsAt(t)];
    var sum = F();
    var product = F();
    for (var m = t.start; m < t.end; m += p.interleave) {
      let at = rowAt(t, m) * p.C + t.channel;
      let d = select(F(), dy[at], ${passes});
      dz[at] = d;
      sum += d;
      let normal = ${normal};
      product = fma(d, normal, product);
    }
    out[i] = sum;
    out[p.parts * p.C + i] = product;
  }
`,
  besideResidual,
)

const mergeKernel = kernel`
  struct Params { C: u32, parts: u32, splits: u32 }
  @group(0) @binding(0) var<storage, read>       sums:   array<f32>; // [sums of dz | of dz x^, parts, C]
  @group(0) @binding(1) var<storage, read_write> dBeta:  array<f32>; // [splits, C]
  @group(0) @binding(2) var<storage, read_write> dGamma: array<f32>; // [splits, C]
  @group(0) @binding(3) var<uniform>             p:      Params;
  ${acrossParts}
  @compute @workgroup_size(64)
  fn batchNormMerge(
    @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) thread: u32,
  ) {
    let here = channelOf(group, groups, thread); // the channels of all splits, [splits, C]
    let at = min(here.channel, p.splits * p.C - 1u);
    let c = at % p.C;
    let own = p.parts / p.splits;
    let begin = at / p.C * own;
    var sum = vec2f();
    for (var i = begin + here.member; i < begin + own; i += threadsPerChannel) {
      sum += vec2f(sums[i * p.C + c], sums[(p.parts + i) * p.C + c]);
    }
    let beta = channelTotal(thread, sum.x);
    let gamma = channelTotal(thread, sum.y);
    if (here.channel >= p.splits * p.C || here.member > 0u) { return; }
    dBeta[at] = beta;
    dGamma[at] = gamma;
  }
`

const backwardKernel = bySource(
  (types, { element, code, normal, passes }) => kernel`
  struct Params { ${rowParams}, share: f32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       dy:     array<F>; // [M, C], or dz unless rectified
  @group(0) @binding(1) var<storage, read>       x:      array<${element}>; // [M, C]
  @group(0) @binding(2) var<storage, read>       stats:  array<F>; // [mean | 1 / deviation, splits, C]
  @group(0) @binding(3) var<storage, read>       gamma:  array<F>; // [C]
  @group(0) @binding(4) var<storage, read>       beta:   array<F>; // [C]
  @group(0) @binding(5) var<storage, read>       dBeta:  array<F>; // [splits, C], read in training only
  @group(0) @binding(6) var<storage, read>       dGamma: array<F>; // [splits, C], read in training only
  @group(0) @binding(7) var<storage, read_write> dx:     array<F>; // [M, C]
  @group(0) @binding(8) var<uniform>             p:      Params;
  override rectified: bool = false;
  ${rows}
  ${code}
  @compute @workgroup_size(64)
  fn batchNormBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.parts * p.C) { return; }
    let t = part(i);
    let mean = stats[statsAt(t)];
    let scale = stats[p.splits * p.C + statsAt(t)];
    let slope = gamma[t.channel];
    let shift = beta[t.channel];
    var meanOfD = F();
    var meanOfProduct = F();
    if (p.share > 0.0) {
      meanOfD = dBeta[statsAt(t)] * p.share;
      meanOfProduct = dGamma[statsAt(t)] * p.share;
    }
    for (var m = t.start; m < t.end; m += p.interleave) {
      let at = rowAt(t, m) * p.C + t.channel;
      let normal = ${normal};
      var dz = dy[at];
      if (rectified) { dz = select(F(), dz, ${passes}); }
      if (p.share > 0.0) { dz -= meanOfD + normal * meanOfProduct; }
      dx[at] = slope * scale * dz;
    }
  }
`,
)

/** Inputs and outputs of the forward pass. */
export interface Normalized {
  /** What was normalised, or what `normalize` saved instead. */
  readonly x: Tensor
  readonly gamma: Tensor
  readonly beta: Tensor
  readonly y: Tensor
  readonly stats: Tensor
}

/** The gradients of x (null unless wanted), gamma, beta, and the residual. `rectified`: a ReLU came
 *  last. */
export function batchNormBackward(
  run: Run,
  dy: Tensor,
  { x, gamma, beta, y, stats }: Normalized,
  wanted: {
    readonly training: boolean
    readonly rectified: boolean
    readonly splits: number
    readonly residual: boolean
    readonly dx: boolean
    readonly sums: boolean
  },
) {
  const { C } = extent(x)
  const { splits } = wanted
  const masked = wanted.rectified && wanted.residual // the first pass applies the mask, for both gradients
  const again = { rectified: Number(wanted.rectified && !wanted.residual) }
  const { parts, ...pass } = partitionRows(x, rowsPerSum(run, x), splits)
  let [dz, sums]: [Tensor, Tensor | null] = [dy, null]
  if (masked)
    [dz, sums] = run(residualSumsKernel(x), {
      ...pass,
      reads: [dy, x, stats, x.dtype === 'f16' ? x : y],
      makes: [x.shape, [2, parts, C]],
    })
  else if (wanted.sums || wanted.training)
    [sums] = run(sumsKernel(x), {
      ...pass,
      reads: [dy, x, stats, gamma, beta],
      makes: [[2, parts, C]],
      constants: { ...pass.constants, ...again },
    })
  const [dBeta, dGamma] = sums
    ? run(mergeKernel, {
        reads: [sums],
        makes: [
          [splits, C],
          [splits, C],
        ],
        params: { C, parts, splits },
        ...perChannel(run, splits * C),
      })
    : [gamma, gamma]
  const second = partitionRows(x, ROWS, splits)
  const dx = () =>
    run(backwardKernel(x), {
      reads: [dz, x, stats, gamma, beta, dBeta, dGamma],
      makes: [x.shape],
      params: { ...second.params, share: wanted.training ? 1 / second.params.M : 0 },
      constants: { ...second.constants, ...again },
      groups: second.groups,
    })[0]
  const ofAll = (d: Tensor) => run.view(splits > 1 ? sumAxes(run, d, [0]) : d, [C])
  return { dx: wanted.dx ? dx() : null, dGamma: ofAll(dGamma), dBeta: ofAll(dBeta), dResidual: dz }
}
