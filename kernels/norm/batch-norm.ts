// Batch normalisation over all dimensions but the last (Ioffe and Szegedy 2015, Algorithm 1), and
// what follows it in a residual network, in one pass over the images:
//   y = (x - mean) / sqrt(variance + eps) gamma + beta,  then + residual,  then max(., 0), if asked
//   for
// Training normalises by the batch's mean and biased variance, and updates the running statistics,
// with the unbiased variance, as torch does.

import {
  type Op,
  type Run,
  type Tensor,
  type Wgsl,
  ShapeError,
  dim,
  kernel,
  op,
  show,
  sizeOf,
  wgsl,
} from '../op.ts'
import { batchNormBackward } from './batch-norm-backward.ts'
import { partitionRows, extent, relu, rowParams, rows } from './batch-rows.ts'
import { flaggedF16 } from '../wgsl/f16-storage.ts'
import { byWidth, fours, widthOf } from '../wgsl/widths.ts'
import { type Running, batchStats, runningStats } from './batch-stats.ts'
import {
  anything,
  checkOptions,
  checkTensor,
  flag,
  needed,
  notNegative,
  number,
  orNull,
  tensor,
} from '../options.ts'

export type { Running }

const ROWS = 16 // of a thread

/** What a kernel saves for the backward pass. */
interface Saved {
  /** The entry point. */
  readonly name: Wgsl
  /** The last bindings. */
  readonly rest: Wgsl
  /** Saves x^, `normal`, and whether ReLU lets `value` through. */
  readonly code: Wgsl
}

const normalizeKernel = (types: Wgsl, saved: Saved) => kernel`
  struct Params { ${rowParams} }
  ${types}
  @group(0) @binding(0) var<storage, read>       x:        array<F>; // [M, C]
  @group(0) @binding(1) var<storage, read>       stats:    array<F>; // [mean | 1 / deviation, splits, C]
  @group(0) @binding(2) var<storage, read>       gamma:    array<F>; // [C]
  @group(0) @binding(3) var<storage, read>       beta:     array<F>; // [C]
  @group(0) @binding(4) var<storage, read>       residual: array<F>; // [M, C], read if added
  @group(0) @binding(5) var<storage, read_write> y:        array<F>; // [M, C]
  ${saved.rest}
  override added: bool = false;
  override rectified: bool = false;
  ${rows}
  ${relu}
  @compute @workgroup_size(64)
  fn ${saved.name}(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.parts * p.C) { return; }
    let t = part(i);
    let mean = stats[statsAt(t)];
    let scale = stats[p.splits * p.C + statsAt(t)];
    let slope = gamma[t.channel];
    let shift = beta[t.channel];
    for (var m = t.start; m < t.end; m += p.interleave) {
      let at = rowAt(t, m) * p.C + t.channel;
      let normal = (x[at] - mean) * scale;
      var value = fma(normal, slope, shift);
      if (added) { value += residual[at]; }
      ${saved.code}
      if (rectified) { value = through(value, value); }
      y[at] = value;
    }
  }
`

const normalizeImages = byWidth((types) =>
  normalizeKernel(types, {
    name: wgsl`batchNorm`,
    rest: wgsl`@group(0) @binding(6) var<uniform> p: Params;`,
    code: wgsl``,
  }),
)

const normalizeSaving = normalizeKernel(fours, {
  name: wgsl`batchNormSaving`,
  rest: wgsl`
  @group(0) @binding(6) var<storage, read_write> normals:  array<vec2u>; // [M, C], x^ and the ReLU mask
  @group(0) @binding(7) var<uniform>             p:        Params;
  ${flaggedF16}`,
  code: wgsl`normals[at] = packFlagged(normal, passes(value));`,
})

export interface BatchNormOptions {
  /** true: normalise by the batch's statistics and update the running ones. false: by the running
   *  ones. */
  readonly training: boolean
  /** Share of the batch's statistics in the running ones, per call; 0.1 by default. */
  readonly momentum?: number
  /** Added to the variance; 1e-5 by default. */
  readonly eps?: number
  /** Added to the result, of x's shape: the other path of a residual block. */
  readonly residual?: Tensor | null
  /** End with max(., 0), NaN staying NaN, as `relu` does. */
  readonly relu?: boolean
  /** In training: groups of the batch, the samples n of equal n mod splits. Each is normalised by
   *  its own statistics, and the running ones follow the groups' mean (SplitBatchNorm of MoCo's
   *  CIFAR-10 demo). 1 by default. */
  readonly splits?: number
}

/** The settings of a batch normalisation, defaults filled in. */
export interface Norm {
  readonly training: boolean
  readonly momentum: number
  readonly eps: number
  readonly rectified: boolean
  readonly splits: number
  readonly running: Running | null
}

type NormInputs = [x: Tensor, gamma: Tensor, beta: Tensor, ...residual: [] | [Tensor]]

type NormOutputs = [y: Tensor, stats: Tensor, ...normals: [] | [Tensor]]

export const batchNormOp: Op<NormInputs, NormOutputs, Norm> = {
  name: 'batchNorm',
  shape({ training, running, splits }, x, gamma, beta, ...[residual]) {
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
    if (residual && residual.join() !== x.join())
      throw new ShapeError(`batchNorm: residual must have x's shape, got ${show(residual)} for x ${show(x)}`)
    if (!training && !running)
      throw new ShapeError('batchNorm: running statistics are needed outside training, got null')
    if (!Number.isInteger(splits) || splits < 1 || dim(x, 0) % splits !== 0)
      throw new ShapeError(`batchNorm: splits must divide the samples of x ${show(x)}, got ${splits}`)
    if (!training && splits > 1)
      throw new ShapeError(`batchNorm: there are splits in training only, got ${splits}`)
    if (training && sizeOf(x) <= C * splits)
      throw new ShapeError(
        `batchNorm: training needs more than one value per channel${splits > 1 ? ' and split' : ''}, got x ${show(x)}${splits > 1 ? ` in ${splits} splits` : ''}`,
      )
    return x
  },
  forward: (run, attrs, ...inputs) => normalize(run, attrs, inputs),
  backward(
    run,
    { training, rectified, splits },
    [dy],
    [x, gamma, beta, residual],
    [y, stats, normals],
    needs,
  ) {
    const [dxNeeded = false, dGammaNeeded = false, dBetaNeeded = false, dResidualNeeded = false] = needs
    const wanted = { training, rectified, splits, residual: residual !== undefined }
    const { dx, dGamma, dBeta, dResidual } = batchNormBackward(
      run,
      dy,
      { x: normals ?? x, gamma, beta, y, stats },
      { ...wanted, dx: dxNeeded, sums: dGammaNeeded || dBetaNeeded },
    )
    const gradients = [dxNeeded ? dx : null, dGammaNeeded ? dGamma : null, dBetaNeeded ? dBeta : null]
    return residual ? [...gradients, dResidualNeeded ? dResidual : null] : gradients
  },
}

/** The forward pass: y, the statistics, and what is saved instead of x. `moments`: what a
 *  convolution stored of x's columns (epilogue-moments.ts). In training, with C a multiple of four,
 *  `Run.activations` f16 saves x^, which cannot overflow, and the ReLU mask, as f16. */
export function normalize(
  run: Run,
  norm: Norm,
  inputs: Readonly<NormInputs>,
  moments: Tensor | null = null,
): NormOutputs {
  const [x, gamma, beta, residual = x] = inputs
  const [{ shape }, { C }] = [x, extent(x)]
  const stats = statistics(run, norm, x, moments)
  const { params, constants, groups } = partitionRows(x, ROWS, norm.splits)
  const flags = { added: Number(inputs.length > 3), rectified: Number(norm.rectified) }
  const pass = {
    reads: [x, stats, gamma, beta, residual],
    params,
    groups,
    constants: { ...constants, ...flags },
  }
  if (run.activations === 'f16' && norm.training && widthOf(C) === 4) {
    const [y, normals] = run(normalizeSaving, { ...pass, makes: [shape, { shape, dtype: 'f16' }] })
    return [y, stats, normals]
  }
  const [y] = run(normalizeImages(C), { ...pass, makes: [shape] })
  return [y, stats]
}

function statistics(
  run: Run,
  { training, running, momentum, eps, splits }: Norm,
  x: Tensor,
  moments: Tensor | null,
): Tensor {
  if (training) return batchStats(run, x, running, { momentum, eps, splits }, moments)
  if (!running) throw new Error('batchNorm: running statistics are needed outside training')
  return runningStats(run, running, extent(x).C, eps)
}

const apply = op(batchNormOp, 'x', 'gamma', 'beta', 'residual')

/** Normalises x [..., C] per channel, times gamma [C], plus beta [C]; then, if asked for, adds a
 *  residual and applies ReLU, in the same pass. In training, updates running statistics, if given,
 *  in place, before the step that calls this ends. Throws ShapeError, also for fewer than two
 *  values per channel, splits that do not divide the batch, and running statistics that are not f32
 *  [C] on x's Gpu. */
export function batchNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  running: Running | null,
  given: BatchNormOptions,
): Tensor {
  const { residual = null, ...options } = checkOptions('batchNorm', given, normRules)
  const attrs = settings(x, running, options)
  return residual ? apply(attrs, x, gamma, beta, residual) : apply(attrs, x, gamma, beta)
}

/** The rules of a batch norm's options. */
export const normRules = {
  training: needed(flag),
  momentum: number,
  eps: notNegative,
  residual: orNull(tensor),
  relu: flag,
  splits: anything,
}

/** The settings, defaults filled in. x is the input, or what a convolution computes it from. Throws
 *  ShapeError for running statistics that are not f32, or not on x's Gpu. */
export function settings(
  x: Tensor,
  running: Running | null,
  {
    training,
    momentum = 0.1,
    eps = 1e-5,
    relu: rectified = false,
    splits = 1,
  }: Omit<BatchNormOptions, 'residual'>,
): Norm {
  checkTensor('batchNorm', 'x', x)
  for (const name of ['mean', 'variance'] as const) {
    if (!running) break
    const statistic = running[name]
    checkTensor('batchNorm', `running ${name}`, statistic)
    const { dtype, shape } = statistic
    if (dtype !== 'f32')
      throw new ShapeError(`batchNorm: running ${name} must be f32, got ${dtype} ${show(shape)}`)
    if (statistic.gpu !== x.gpu)
      throw new ShapeError(`batchNorm: running ${name} ${show(shape)} belongs to another Gpu than x`)
  }
  return { training, momentum, eps, rectified, splits, running }
}
