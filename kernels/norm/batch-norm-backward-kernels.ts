// The kernels of batch normalisation's backward pass (batch-norm-backward.ts).

import { type Kernel, type Tensor, type Wgsl, kernel, wgsl } from '../op.ts'
import { acrossParts, extent, partPrologue, rowParams, rows } from './batch-rows.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { marked, reluSnippet } from '../wgsl/relu-mask.ts'
import { byStorage, f16Fours } from '../wgsl/storage.ts'

export const sumsKernel = byStorage(
  (types) => kernel`
  struct Params { ${rowParams} }
  ${types}
  @group(0) @binding(0) var<storage, read>       dy:    array<S>; // [M, C]
  @group(0) @binding(1) var<storage, read>       x:     array<S>; // [M, C]
  @group(0) @binding(2) var<storage, read>       stats: array<F>; // [mean | 1 / deviation, splits, C]
  @group(0) @binding(3) var<storage, read>       gamma: array<F>; // [C]
  @group(0) @binding(4) var<storage, read>       beta:  array<F>; // [C]
  @group(0) @binding(5) var<storage, read_write> out:   array<F>; // [sums of dz | of dz x^, parts, C]
  @group(0) @binding(6) var<uniform>             p:     Params;
  override rectified: bool = false;
  ${rows}
  ${reluSnippet}
  @compute @workgroup_size(64)
  fn batchNormSums(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${partPrologue}
    let slope = gamma[t.channel];
    let shift = beta[t.channel];
    var sum = F();
    var product = F();
    for (var m = t.start; m < t.end; m += p.interleave) {
      let at = rowAt(t, m) * p.C + t.channel;
      let normal = (widen(x[at]) - mean) * scale;
      var dz = widen(dy[at]);
      if (rectified) { dz = through(fma(normal, slope, shift), dz); }
      sum += dz;
      product = fma(dz, normal, product);
    }
    out[i] = sum;
    out[p.parts * p.C + i] = product;
  }
`,
)

/** How a pass behind a residual gets ReLU's mask. */
interface Mask {
  /** The entry point. */
  readonly name: Wgsl
  readonly binding: Wgsl
  readonly begin: Wgsl
  /** Declares `isPassed`. */
  readonly each: Wgsl
}

const ofY: Mask = {
  name: wgsl`batchNormResidualSums`,
  binding: wgsl`y:     array<S>; // [M, C]`,
  begin: wgsl``,
  each: wgsl`let isPassed = passes(widen(y[at]));`,
}

const ofMarks: Mask = {
  name: wgsl`batchNormMarkedSums`,
  binding: wgsl`marks: array<vec2u>; // [parts of 16 rows, C]`,
  ...marked,
}

const residualSums = (types: Wgsl, { name, ...mask }: Mask) => kernel`
  struct Params { ${rowParams} }
  ${types}
  @group(0) @binding(0) var<storage, read>       dy:    array<S>; // [M, C]
  @group(0) @binding(1) var<storage, read>       x:     array<S>; // [M, C]
  @group(0) @binding(2) var<storage, read>       stats: array<F>; // [mean | 1 / deviation, splits, C]
  @group(0) @binding(3) var<storage, read>       ${mask.binding}
  @group(0) @binding(4) var<storage, read>       more:  array<S>; // [M, C], dy's addend, if it has one
  @group(0) @binding(5) var<storage, read_write> dz:    array<S>; // [M, C]
  @group(0) @binding(6) var<storage, read_write> out:   array<F>; // [sums of dz | of dz x^, parts, C]
  @group(0) @binding(7) var<uniform>             p:     Params;
  override added: bool = false;
  ${rows}
  ${reluSnippet}
  @compute @workgroup_size(64)
  fn ${name}(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${partPrologue}
    var sum = F();
    var product = F();
    ${mask.begin}
    for (var m = t.start; m < t.end; m += p.interleave) {
      let at = rowAt(t, m) * p.C + t.channel;
      ${mask.each}
      var d = widen(dy[at]);
      if (added) { d += widen(more[at]); }
      d = select(F(), d, isPassed);
      dz[at] = narrow(d);
      sum += d;
      let normal = (widen(x[at]) - mean) * scale;
      product = fma(d, normal, product);
    }
    out[i] = sum;
    out[p.parts * p.C + i] = product;
  }
`

const sumsOfY = byStorage((types) => residualSums(types, ofY))
const sumsOfMarks = residualSums(f16Fours, ofMarks)

export const residualSumsKernel = (x: Tensor, marks: Tensor | undefined): Kernel =>
  marks ? sumsOfMarks : sumsOfY(x, extent(x).C)

export const mergeKernel = kernel`
  struct Params { C: u32, parts: u32, splits: u32 }
  @group(0) @binding(0) var<storage, read>       sums:   array<f32>; // [sums of dz | of dz x^, parts, C]
  @group(0) @binding(1) var<storage, read_write> dBeta:  array<f32>; // [splits, C]
  @group(0) @binding(2) var<storage, read_write> dGamma: array<f32>; // [splits, C]
  @group(0) @binding(3) var<uniform>             p:      Params;
  ${acrossParts}
  @compute @workgroup_size(64)
  fn batchNormMerge(${groupEntry}) {
    let here = channelOf(group, groups, thread); // the channels of all splits, [splits, C]
    let at = min(here.channel, p.splits * p.C - 1u);
    let c = at % p.C;
    let own = p.parts / p.splits;
    let begin = at / p.C * own;
    var sum = vec2f();
    for (var i = begin + here.member; i < begin + own; i += threadsPerChannel * 4u) {
      var parts = array<vec2f, 4>(); // loaded together, then added in order
      for (var e = 0u; e < 4u; e++) {
        let at = i + e * threadsPerChannel;
        if (at < begin + own) { parts[e] = vec2f(sums[at * p.C + c], sums[(p.parts + at) * p.C + c]); }
      }
      for (var e = 0u; e < 4u; e++) { sum += parts[e]; }
    }
    let beta = channelTotal(thread, sum.x);
    let gamma = channelTotal(thread, sum.y);
    if (here.channel >= p.splits * p.C || here.member > 0u) { return; }
    dBeta[at] = beta;
    dGamma[at] = gamma;
  }
`

export const backwardKernel = byStorage(
  (types) => kernel`
  struct Params { ${rowParams}, share: f32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       dy:     array<S>; // [M, C], or dz unless rectified
  @group(0) @binding(1) var<storage, read>       x:      array<S>; // [M, C]
  @group(0) @binding(2) var<storage, read>       stats:  array<F>; // [mean | 1 / deviation, splits, C]
  @group(0) @binding(3) var<storage, read>       gamma:  array<F>; // [C]
  @group(0) @binding(4) var<storage, read>       beta:   array<F>; // [C]
  @group(0) @binding(5) var<storage, read>       dBeta:  array<F>; // [splits, C], read in training only
  @group(0) @binding(6) var<storage, read>       dGamma: array<F>; // [splits, C], read in training only
  @group(0) @binding(7) var<storage, read_write> dx:     array<S>; // [M, C]
  @group(0) @binding(8) var<uniform>             p:      Params;
  override rectified: bool = false;
  ${rows}
  ${reluSnippet}
  @compute @workgroup_size(64)
  fn batchNormBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${partPrologue}
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
      let normal = (widen(x[at]) - mean) * scale;
      var dz = widen(dy[at]);
      if (rectified) { dz = through(fma(normal, slope, shift), dz); }
      if (p.share > 0.0) { dz -= meanOfD + normal * meanOfProduct; }
      dx[at] = narrow(slope * scale * dz);
    }
  }
`,
)
