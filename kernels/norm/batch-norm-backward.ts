// The gradients of batch normalisation. With x^ the normalised x, mean() over the batch, and dz the gradient of what was
// normalised (dy, where ReLU let it through):
//   dbeta = sum(dz)    dgamma = sum(dz x^)    dx = gamma / deviation (dz - mean(dz) - x^ mean(dz x^))
// Outside training the statistics are constants and only the first term of dx stays (share = 0). Two passes over the
// images. Where ReLU let through is told by x^ gamma + beta, computed again, or, under a residual, by y, which the next
// convolution keeps anyway, or by a bit kept with x^; under a residual dz is its gradient too, and written once.

import { type Kernel, type Run, type Tensor, type Wgsl, kernel, wgsl } from '../op.ts'
import { acrossParts, deal, extent, perChannel, relu, rows, rowsPerSum } from './batch-rows.ts'
import { flaggedHalves } from '../wgsl/f16-storage.ts'
import { sumAxes } from '../wgsl/reduce.ts'
import { byWidth, fours } from '../wgsl/widths.ts'

const ROWS = 16 // that one thread of the second pass takes

/** How a pass comes by x^, and by what ReLU let through: from what was normalised, or from what `normalize` kept of it. */
interface Source {
  /** What x is an array of. */
  readonly element: Wgsl
  readonly code: Wgsl
  /** x^ at `at`. */
  readonly normal: Wgsl
  /** Whether ReLU let through what became of it. */
  readonly passes: Wgsl
}

const recomputed: Source = {
  element: wgsl`F`,
  code: relu,
  normal: wgsl`(x[at] - mean) * scale`,
  passes: wgsl`passes(fma(normal, slope, shift))`,
}

const besideResidual: Source = { ...recomputed, passes: wgsl`passes(y[at])` }

const halves: Source = {
  element: wgsl`vec2u`,
  code: flaggedHalves,
  normal: wgsl`kept(x[at])`,
  passes: wgsl`bitsOf(x[at])`,
}

/** A kernel of widths by what its x is. */
function bySource(make: (types: Wgsl, source: Source) => Kernel, other = recomputed) {
  const [images, kept] = [byWidth((types) => make(types, other)), make(fours, halves)]
  return (x: Tensor) => (x.dtype === 'f16' ? kept : images(extent(x).C))
}

const sumsKernel = bySource(
  (types, { element, code, normal, passes }) => kernel`
  struct Params { M: u32, C: u32, lanes: u32, rows: u32, parts: u32, splits: u32, image: u32 }
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
    let mean = stats[normAt(t)];
    let scale = stats[p.splits * p.C + normAt(t)];
    let slope = gamma[t.channel];
    let shift = beta[t.channel];
    var sum = F();
    var product = F();
    for (var m = t.start; m < t.end; m += p.lanes) {
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
  struct Params { M: u32, C: u32, lanes: u32, rows: u32, parts: u32, splits: u32, image: u32 }
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
    let mean = stats[normAt(t)];
    let scale = stats[p.splits * p.C + normAt(t)];
    var sum = F();
    var product = F();
    for (var m = t.start; m < t.end; m += p.lanes) {
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
    let here = place(group, groups, thread); // the channels of all splits, [splits, C]
    let at = min(here.channel, p.splits * p.C - 1u);
    let c = at % p.C;
    let own = p.parts / p.splits;
    let begin = at / p.C * own;
    var sum = vec2f();
    for (var i = begin + here.lane; i < begin + own; i += lanes) {
      sum += vec2f(sums[i * p.C + c], sums[(p.parts + i) * p.C + c]);
    }
    let beta = total(thread, sum.x);
    let gamma = total(thread, sum.y);
    if (here.channel >= p.splits * p.C || here.lane > 0u) { return; }
    dBeta[at] = beta;
    dGamma[at] = gamma;
  }
`

const backwardKernel = bySource(
  (types, { element, code, normal, passes }) => kernel`
  struct Params { M: u32, C: u32, lanes: u32, rows: u32, parts: u32, splits: u32, image: u32, share: f32 }
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
    let mean = stats[normAt(t)];
    let scale = stats[p.splits * p.C + normAt(t)];
    let slope = gamma[t.channel];
    let shift = beta[t.channel];
    var meanOfD = F();
    var meanOfProduct = F();
    if (p.share > 0.0) {
      meanOfD = dBeta[normAt(t)] * p.share;
      meanOfProduct = dGamma[normAt(t)] * p.share;
    }
    for (var m = t.start; m < t.end; m += p.lanes) {
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

/** What the forward pass had and made. */
export interface Normalized {
  /** What was normalised, or what `normalize` kept of it. */
  readonly x: Tensor
  readonly gamma: Tensor
  readonly beta: Tensor
  readonly y: Tensor
  readonly stats: Tensor
}

/** The gradients of x (null unless wanted), gamma, beta, and what was added. `rectified`: a ReLU came last. */
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
  const masked = wanted.rectified && wanted.residual // the mask is applied by the first pass, for both gradients
  const again = { rectified: Number(wanted.rectified && !wanted.residual) }
  const { parts, ...dealt } = deal(x, rowsPerSum(run, x), splits)
  let [dz, sums]: [Tensor, Tensor | null] = [dy, null]
  if (masked)
    [dz, sums] = run(residualSumsKernel(x), {
      ...dealt,
      reads: [dy, x, stats, x.dtype === 'f16' ? x : y],
      makes: [x.shape, [2, parts, C]],
    })
  else if (wanted.sums || wanted.training)
    [sums] = run(sumsKernel(x), {
      ...dealt,
      reads: [dy, x, stats, gamma, beta],
      makes: [[2, parts, C]],
      constants: { ...dealt.constants, ...again },
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
  const pass = deal(x, ROWS, splits)
  const dx = () =>
    run(backwardKernel(x), {
      reads: [dz, x, stats, gamma, beta, dBeta, dGamma],
      makes: [x.shape],
      params: { ...pass.params, share: wanted.training ? 1 / pass.params.M : 0 },
      constants: { ...pass.constants, ...again },
      groups: pass.groups,
    })[0]
  const ofAll = (d: Tensor) => run.view(splits > 1 ? sumAxes(run, d, [0]) : d, [C])
  return { dx: wanted.dx ? dx() : null, dGamma: ofAll(dGamma), dBeta: ofAll(dBeta), dResidual: dz }
}
