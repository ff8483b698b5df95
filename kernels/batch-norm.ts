// Batch normalisation over all dimensions but the last (Ioffe and Szegedy 2015, Algorithm 1):
//   y = (x - mean) / sqrt(variance + eps) gamma + beta
// Training takes the batch's mean and biased variance; running statistics follow them, with the unbiased variance, as
// torch's do. The variance is summed about the mean, never as E[x^2] - E[x]^2, and merged by Chan et al.'s formula.

import {
  type Op,
  type Run,
  type Tensor,
  type Variable,
  ShapeError,
  dim,
  elementwise,
  flatIndex,
  kernel,
  op,
  show,
  sizeOf,
} from './op.ts'
import { chunks, deal, gradientSums, moments } from './batch-moments.ts'

const ROWS = 16 // that one thread normalises

const statsKernel = kernel`
  struct Params { C: u32, eps: f32 }
  @group(0) @binding(0) var<storage, read>       moments: array<vec4f>; // [C] of (mean, M2, count, -)
  @group(0) @binding(1) var<storage, read_write> stats:   array<f32>;   // [mean | 1 / deviation | unbiased variance, C]
  @group(0) @binding(2) var<uniform>             p:       Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn batchStats(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let c = flat(id, groups);
    if (c >= p.C) { return; }
    let m = moments[c];
    stats[c] = m.x;
    stats[p.C + c] = 1.0 / sqrt(m.y / m.z + p.eps);
    stats[2u * p.C + c] = m.y / (m.z - 1.0);
  }
`

const runningStatsKernel = kernel`
  struct Params { C: u32, eps: f32 }
  @group(0) @binding(0) var<storage, read>       mean:     array<f32>; // [C]
  @group(0) @binding(1) var<storage, read>       variance: array<f32>; // [C]
  @group(0) @binding(2) var<storage, read_write> stats:    array<f32>; // [mean | 1 / deviation | variance, C]
  @group(0) @binding(3) var<uniform>             p:        Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn runningStats(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let c = flat(id, groups);
    if (c >= p.C) { return; }
    stats[c] = mean[c];
    stats[p.C + c] = 1.0 / sqrt(variance[c] + p.eps);
    stats[2u * p.C + c] = variance[c];
  }
`

const trackKernel = kernel`
  struct Params { C: u32, momentum: f32 }
  @group(0) @binding(0) var<storage, read>       stats:    array<f32>; // [mean | 1 / deviation | unbiased variance, C]
  @group(0) @binding(1) var<storage, read_write> mean:     array<f32>; // [C]
  @group(0) @binding(2) var<storage, read_write> variance: array<f32>; // [C]
  @group(0) @binding(3) var<uniform>             p:        Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn trackStats(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let c = flat(id, groups);
    if (c >= p.C) { return; }
    mean[c] = mix(mean[c], stats[c], p.momentum);
    variance[c] = mix(variance[c], stats[2u * p.C + c], p.momentum);
  }
`

const normalizeKernel = kernel`
  struct Params { M: u32, C: u32, lanes: u32, rows: u32, parts: u32 }
  @group(0) @binding(0) var<storage, read>       x:     array<f32>; // [M, C]
  @group(0) @binding(1) var<storage, read>       stats: array<f32>; // [mean | 1 / deviation | -, C]
  @group(0) @binding(2) var<storage, read>       gamma: array<f32>; // [C]
  @group(0) @binding(3) var<storage, read>       beta:  array<f32>; // [C]
  @group(0) @binding(4) var<storage, read_write> y:     array<f32>; // [M, C]
  @group(0) @binding(5) var<uniform>             p:     Params;
  ${chunks}
  @compute @workgroup_size(64)
  fn batchNorm(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.parts * p.C) { return; }
    let t = part(i);
    let mean = stats[t.channel];
    let scale = stats[p.C + t.channel] * gamma[t.channel];
    let shift = beta[t.channel];
    for (var m = t.start; m < t.end; m += p.lanes) {
      y[m * p.C + t.channel] = (x[m * p.C + t.channel] - mean) * scale + shift;
    }
  }
`

// With x^ the normalised x and mean() over the batch: dx = gamma / deviation (dy - mean(dy) - x^ mean(dy x^)).
// Outside training the statistics are constants and only the first term stays (share = 0).
const backwardKernel = kernel`
  struct Params { M: u32, C: u32, lanes: u32, rows: u32, parts: u32, share: f32 }
  @group(0) @binding(0) var<storage, read>       dy:     array<f32>; // [M, C]
  @group(0) @binding(1) var<storage, read>       x:      array<f32>; // [M, C]
  @group(0) @binding(2) var<storage, read>       stats:  array<f32>; // [mean | 1 / deviation | -, C]
  @group(0) @binding(3) var<storage, read>       gamma:  array<f32>; // [C]
  @group(0) @binding(4) var<storage, read>       dBeta:  array<f32>; // [C], read in training only
  @group(0) @binding(5) var<storage, read>       dGamma: array<f32>; // [C], read in training only
  @group(0) @binding(6) var<storage, read_write> dx:     array<f32>; // [M, C]
  @group(0) @binding(7) var<uniform>             p:      Params;
  ${chunks}
  @compute @workgroup_size(64)
  fn batchNormBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.parts * p.C) { return; }
    let t = part(i);
    let mean = stats[t.channel];
    let scale = stats[p.C + t.channel];
    let slope = select(0.0, dGamma[t.channel] * p.share * scale, p.share > 0.0);
    let shift = select(0.0, dBeta[t.channel] * p.share, p.share > 0.0);
    for (var m = t.start; m < t.end; m += p.lanes) {
      let at = m * p.C + t.channel;
      dx[at] = gamma[t.channel] * scale * (dy[at] - shift - (x[at] - mean) * slope);
    }
  }
`

/** Running statistics: one mean and one variance per channel, written in place while training. */
export interface Running {
  readonly mean: Variable
  readonly variance: Variable
}

export interface BatchNormOptions {
  /** Normalise by the batch's statistics and let the running ones follow, or by the running ones. */
  readonly training: boolean
  /** Share of the batch's statistics in the running ones, per call; 0.1 by default. */
  readonly momentum?: number
  /** Added to the variance; 1e-5 by default. */
  readonly eps?: number
}

interface Attrs extends Required<BatchNormOptions> {
  readonly running: Running | null
}

const batchNormOp: Op<[x: Tensor, gamma: Tensor, beta: Tensor], [y: Tensor, stats: Tensor], Attrs> = {
  name: 'batchNorm',
  shape({ training, running }, x, gamma, beta) {
    if (x.length < 2)
      throw new ShapeError(`batchNorm: x must have rows and channels [..., C], got ${show(x)}`)
    const C = dim(x, x.length - 1)
    const named = { gamma, beta, mean: running?.mean.shape, variance: running?.variance.shape }
    for (const [name, shape] of Object.entries(named)) {
      if (shape && (shape.length !== 1 || shape[0] !== C))
        throw new ShapeError(
          `batchNorm: ${name} must have one value per channel, got ${show(shape)} for x ${show(x)}`,
        )
    }
    if (!training && !running)
      throw new ShapeError('batchNorm: running statistics are needed outside training, got null')
    if (training && sizeOf(x) <= C)
      throw new ShapeError(`batchNorm: training needs more than one value per channel, got x ${show(x)}`)
    return x
  },
  forward(run, { training, running, momentum, eps }, x, gamma, beta) {
    const C = dim(gamma.shape, 0)
    const stats = training ? batchStats(run, x, eps) : runningStats(run, running, C, eps)
    if (training && running)
      run(trackKernel, {
        reads: [stats],
        updates: [running.mean, running.variance],
        params: { C, momentum },
        groups: elementwise(C),
      })
    const { params, groups } = deal(sizeOf(x.shape) / C, C, ROWS)
    const [y] = run(normalizeKernel, { reads: [x, stats, gamma, beta], makes: [x.shape], params, groups })
    return [y, stats]
  },
  backward(run, { training }, [dy], [x, gamma], [, stats], [dxNeeded, dGammaNeeded, dBetaNeeded]) {
    const sums =
      dGammaNeeded || dBetaNeeded || training ? gradientSums(run, dy, x, stats) : ([gamma, gamma] as const)
    const [dBeta, dGamma] = sums
    const C = dim(gamma.shape, 0)
    const M = sizeOf(x.shape) / C
    const { params, groups } = deal(M, C, ROWS)
    const dx = () =>
      run(backwardKernel, {
        reads: [dy, x, stats, gamma, dBeta, dGamma],
        makes: [x.shape],
        params: { ...params, share: training ? 1 / M : 0 },
        groups,
      })[0]
    return [dxNeeded ? dx() : null, dGammaNeeded ? dGamma : null, dBetaNeeded ? dBeta : null]
  },
}

function batchStats(run: Run, x: Tensor, eps: number): Tensor {
  const C = dim(x.shape, x.shape.length - 1)
  const [stats] = run(statsKernel, {
    reads: [moments(run, x)],
    makes: [[3, C]],
    params: { C, eps },
    groups: elementwise(C),
  })
  return stats
}

function runningStats(run: Run, running: Running | null, C: number, eps: number): Tensor {
  if (!running) throw new Error('batchNorm: running statistics are needed outside training')
  const [stats] = run(runningStatsKernel, {
    reads: [running.mean, running.variance],
    makes: [[3, C]],
    params: { C, eps },
    groups: elementwise(C),
  })
  return stats
}

const apply = op(batchNormOp)

/** x [..., C] normalised per channel, times gamma [C], plus beta [C]. In training, running statistics, if given, are
 *  updated in place, before the step that calls this ends. Throws ShapeError, also for a batch of one value per channel
 *  or none, and for running statistics that are not f32 [C] on x's Gpu. */
export function batchNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  running: Running | null,
  { training, momentum = 0.1, eps = 1e-5 }: BatchNormOptions,
): Tensor {
  for (const name of ['mean', 'variance'] as const) {
    const statistic = running?.[name]
    if (!statistic) continue
    const { dtype, shape } = statistic
    if (dtype !== 'f32')
      throw new ShapeError(`batchNorm: running ${name} must be f32, got ${dtype} ${show(shape)}`)
    if (statistic.gpu !== x.gpu)
      throw new ShapeError(`batchNorm: running ${name} ${show(shape)} belongs to another Gpu than x`)
  }
  return apply({ training, momentum, eps, running }, x, gamma, beta)
}
