// Batch normalisation over all dimensions but the last (Ioffe and Szegedy 2015, Algorithm 1), and what follows it in a
// residual network, in one pass over the images:
//   y = (x - mean) / sqrt(variance + eps) gamma + beta,  then + residual,  then max(., 0), if asked for
// Training takes the batch's mean and biased variance; running statistics follow them, with the unbiased variance, as
// torch's do.

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
import { deal, extent, relu, rows } from './batch-rows.ts'
import { flaggedHalves } from '../wgsl/f16-storage.ts'
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

const ROWS = 16 // that one thread normalises

interface Saved {
  /** The entry point. */
  readonly name: Wgsl
  /** The last bindings. */
  readonly rest: Wgsl
  /** What is done with x^ and with what ReLU is given, `normal` and `value`. */
  readonly code: Wgsl
}

const normalizeKernel = (types: Wgsl, saved: Saved) => kernel`
  struct Params { M: u32, C: u32, lanes: u32, rows: u32, parts: u32, splits: u32, image: u32 }
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
    let mean = stats[normAt(t)];
    let scale = stats[p.splits * p.C + normAt(t)];
    let slope = gamma[t.channel];
    let shift = beta[t.channel];
    for (var m = t.start; m < t.end; m += p.lanes) {
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

const forgetting = byWidth((types) =>
  normalizeKernel(types, {
    name: wgsl`batchNorm`,
    rest: wgsl`@group(0) @binding(6) var<uniform> p: Params;`,
    code: wgsl``,
  }),
)

const keeping = normalizeKernel(fours, {
  name: wgsl`batchNormSaving`,
  rest: wgsl`
  @group(0) @binding(6) var<storage, read_write> normals:  array<vec2u>; // [M, C] of x^, and whether ReLU lets y through
  @group(0) @binding(7) var<uniform>             p:        Params;
  ${flaggedHalves}`,
  code: wgsl`normals[at] = keep(normal, passes(value));`,
})

export interface BatchNormOptions {
  /** Normalise by the batch's statistics and let the running ones follow, or by the running ones. */
  readonly training: boolean
  /** Share of the batch's statistics in the running ones, per call; 0.1 by default. */
  readonly momentum?: number
  /** Added to the variance; 1e-5 by default. */
  readonly eps?: number
  /** Added to the result, of x's shape: the other path of a residual block. */
  readonly residual?: Tensor | null
  /** End with max(., 0), NaN staying NaN, as `relu` does. */
  readonly relu?: boolean
  /** In training: each of so many groups of the batch, the samples n of equal n mod splits, is normalised by its own
   *  statistics, and the running ones follow their mean (SplitBatchNorm of MoCo's CIFAR-10 demo). 1 by default. */
  readonly splits?: number
}

/** What a batch normalisation is told. */
export interface Norm {
  readonly training: boolean
  readonly momentum: number
  readonly eps: number
  readonly rectified: boolean
  readonly splits: number
  readonly running: Running | null
}

type Inputs = [x: Tensor, gamma: Tensor, beta: Tensor, ...residual: [] | [Tensor]]

type Outputs = [y: Tensor, stats: Tensor, ...normals: [] | [Tensor]]

export const batchNormOp: Op<Inputs, Outputs, Norm> = {
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

/** x normalised, with what follows, and its statistics; a convolution may have found its moments (see epilogue-moments.ts). In
 *  training, of channels in fours, `Run.activations` f16 adds what `batchNormBackward` can do with instead of x: x^, which
 *  cannot overflow, and whether ReLU let through what became of it, in halves. */
export function normalize(
  run: Run,
  norm: Norm,
  inputs: Readonly<Inputs>,
  moments: Tensor | null = null,
): Outputs {
  const [x, gamma, beta, residual = x] = inputs
  const [{ shape }, { C }] = [x, extent(x)]
  const stats = statistics(run, norm, x, moments)
  const { params, constants, groups } = deal(x, ROWS, norm.splits)
  const flags = { added: Number(inputs.length > 3), rectified: Number(norm.rectified) }
  const pass = {
    reads: [x, stats, gamma, beta, residual],
    params,
    groups,
    constants: { ...constants, ...flags },
  }
  if (run.activations === 'f16' && norm.training && widthOf(C) === 4) {
    const [y, normals] = run(keeping, { ...pass, makes: [shape, { shape, dtype: 'f16' }] })
    return [y, stats, normals]
  }
  const [y] = run(forgetting(C), { ...pass, makes: [shape] })
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

/** x [..., C] normalised per channel, times gamma [C], plus beta [C]; then, if asked for, plus a residual and rectified,
 *  in the same pass. In training, running statistics, if given, are updated in place, before the step that calls this ends.
 *  Throws ShapeError, also for a batch of one value per channel or none, splits that do not divide it, and running statistics that are not f32 [C] on
 *  x's Gpu. */
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

/** What each option of a batch norm must be. */
export const normRules = {
  training: needed(flag),
  momentum: number,
  eps: notNegative,
  residual: orNull(tensor),
  relu: flag,
  splits: anything,
}

/** The settings of a normalisation of what x becomes. Throws ShapeError for running statistics that are not f32, or not on
 *  x's Gpu. */
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
