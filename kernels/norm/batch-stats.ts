// Mean and variance of every channel of [M, C]: sums over chunks of rows, then over chunks, both in
// a fixed order, so that two runs give the same bits and no thread sums a long column alone.
// Squares are summed about the mean of each chunk, then of all, never as E[x^2] - E[x]^2.

import {
  type Run,
  type Tensor,
  type Variable,
  type Wgsl,
  elementwise,
  flatIndex,
  kernel,
  wgsl,
} from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { type Splits, acrossParts, extent, perChannel, rowParams, rows } from './batch-rows.ts'
import { partMoments } from './part-moments.ts'

// Sums means relative to the first chunk's, which keeps the digits of a large mean.
const statsKernel = (running: {
  readonly name: Wgsl
  readonly bindings: Wgsl
  readonly follow: Wgsl
}) => kernel`
  struct Params { ${rowParams}, eps: f32, momentum: f32 }
  @group(0) @binding(0) var<storage, read>       moments:  array<f32>; // [mean | squared deviations, parts, C]
  ${running.bindings}
  ${rows}
  ${acrossParts}
  @compute @workgroup_size(64)
  fn ${running.name}(${groupEntry}) {
    let here = channelOf(group, groups, thread); // the channels of all splits, [splits, C]
    let at = min(here.channel, p.splits * p.C - 1u);
    let c = at % p.C;
    let own = p.parts / p.splits;
    let begin = at / p.C * own;
    let first = moments[begin * p.C + c];
    var sum = 0.0;
    let end = begin + own;
    for (var i = begin + here.member; i < end; i += threadsPerChannel * 4u) {
      var means = array<f32, 4>(); // loaded together, then added in order
      for (var e = 0u; e < 4u; e++) { means[e] = moments[min(i + e * threadsPerChannel, end - 1u) * p.C + c]; }
      for (var e = 0u; e < 4u; e++) {
        let at = i + e * threadsPerChannel;
        if (at < end) { sum = fma(f32(part(at * p.C).count), means[e] - first, sum); }
      }
    }
    let mean = first + channelTotal(thread, sum) / f32(p.M);
    var squares = 0.0;
    for (var i = begin + here.member; i < end; i += threadsPerChannel * 4u) {
      var means = array<f32, 4>();
      var owns = array<f32, 4>();
      for (var e = 0u; e < 4u; e++) {
        let at = min(i + e * threadsPerChannel, end - 1u);
        means[e] = moments[at * p.C + c];
        owns[e] = moments[(p.parts + at) * p.C + c];
      }
      for (var e = 0u; e < 4u; e++) {
        let at = i + e * threadsPerChannel;
        let d = means[e] - mean;
        if (at < end) { squares += fma(f32(part(at * p.C).count) * d, d, owns[e]); }
      }
    }
    let deviations = channelTotal(thread, squares);
    if (here.channel >= p.splits * p.C || here.member > 0u) { return; }
    stats[at] = mean;
    stats[p.splits * p.C + at] = 1.0 / sqrt(deviations / f32(p.M) + p.eps);
    ${running.follow}
  }
`

const untracked = statsKernel({
  name: wgsl`batchStats`,
  bindings: wgsl`
  @group(0) @binding(1) var<storage, read_write> stats:    array<f32>; // [mean | 1 / deviation | variance, splits, C]
  @group(0) @binding(2) var<uniform>             p:        Params;
`,
  follow: wgsl`
    stats[2u * p.splits * p.C + at] = deviations / f32(p.M - 1u);
  `,
})

const tracked = statsKernel({
  name: wgsl`batchStatsTracked`,
  bindings: wgsl`
  @group(0) @binding(1) var<storage, read_write> runningMean:     array<f32>; // [C]
  @group(0) @binding(2) var<storage, read_write> runningVariance: array<f32>; // [C]
  @group(0) @binding(3) var<storage, read_write> stats:           array<f32>; // [mean | 1 / deviation, C]
  @group(0) @binding(4) var<uniform>             p:               Params;
`,
  follow: wgsl`
    runningMean[c] = mix(runningMean[c], mean, p.momentum);
    runningVariance[c] = mix(runningVariance[c], deviations / f32(p.M - 1u), p.momentum);
  `,
})

// Updates the running statistics by the mean over the splits, or by each in turn.
const followKernel = kernel`
  struct Params { C: u32, splits: u32, momentum: f32 }
  @group(0) @binding(0) var<storage, read>       stats:           array<f32>; // [mean | 1 / deviation | variance, splits, C]
  @group(0) @binding(1) var<storage, read_write> runningMean:     array<f32>; // [C]
  @group(0) @binding(2) var<storage, read_write> runningVariance: array<f32>; // [C]
  @group(0) @binding(3) var<uniform>             p:               Params;
  override inTurn: bool = false;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn followSplits(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let c = flat(id, groups);
    if (c >= p.C) { return; }
    var mean = 0.0;
    var variance = 0.0;
    var running = vec2f(runningMean[c], runningVariance[c]);
    for (var s = 0u; s < p.splits; s++) {
      let own = vec2f(stats[s * p.C + c], stats[(2u * p.splits + s) * p.C + c]);
      mean += own.x;
      variance += own.y;
      if (inTurn) { running = mix(running, own, p.momentum); }
    }
    if (!inTurn) { running = mix(running, vec2f(mean, variance) / f32(p.splits), p.momentum); }
    runningMean[c] = running.x;
    runningVariance[c] = running.y;
  }
`

const runningKernel = kernel`
  struct Params { C: u32, eps: f32 }
  @group(0) @binding(0) var<storage, read>       mean:     array<f32>; // [C]
  @group(0) @binding(1) var<storage, read>       variance: array<f32>; // [C]
  @group(0) @binding(2) var<storage, read_write> stats:    array<f32>; // [mean | 1 / deviation, C]
  @group(0) @binding(3) var<uniform>             p:        Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn runningStats(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let c = flat(id, groups);
    if (c >= p.C) { return; }
    stats[c] = mean[c];
    stats[p.C + c] = 1.0 / sqrt(variance[c] + p.eps);
  }
`

/** Running statistics: a mean and a variance per channel, both [C], updated in place while
 *  training. */
export interface Running {
  readonly mean: Variable
  readonly variance: Variable
}

/** Mean, 1 / deviation, and maybe variance [2 or 3, splits, C] of the batch's splits. Updates
 *  `running`, if given, with share `momentum` and the unbiased variance. `stored`: the moments that
 *  a convolution stored (epilogue-moments.ts), for one split. */
export function batchStats(
  run: Run,
  x: Tensor,
  running: Running | null,
  { eps, momentum, ...of }: { readonly eps: number; readonly momentum: number } & Splits,
  stored: Tensor | null = null,
): Tensor {
  const { C } = extent(x)
  const { splits, inTurn } = of
  const { moments, params, constants } = partMoments(run, x, of, stored)
  const tracks = running !== null && splits === 1
  const sums = perChannel(run, splits * C)
  const [stats] = run(tracks ? tracked : untracked, {
    reads: [moments],
    updates: tracks ? [running.mean, running.variance] : [],
    makes: [[tracks ? 2 : 3, splits, C]],
    params: { ...params, C, eps, momentum },
    constants: { ...constants, ...sums.constants },
    groups: sums.groups,
  })
  if (running && splits > 1)
    run(followKernel, {
      reads: [stats],
      updates: [running.mean, running.variance],
      params: { C, splits, momentum },
      constants: { inTurn: Number(inTurn) },
      groups: elementwise(C),
    })
  return stats
}

/** Mean and 1 / deviation [2, C] of the running statistics. */
export function runningStats(
  run: Run,
  { mean, variance }: Running,
  C: number,
  eps: number,
): Tensor {
  const reads = [mean, variance]
  const [stats] = run(runningKernel, {
    reads,
    makes: [[2, C]],
    params: { C, eps },
    groups: elementwise(C),
  })
  return stats
}
