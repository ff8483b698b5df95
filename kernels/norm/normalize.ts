// The forward pass of batch normalisation: statistics, then one pass over the images.

import {
  type Run,
  type Tensor,
  type Wgsl,
  elementwise,
  flatIndex,
  kernel,
  sizeOf,
  wgsl,
} from '../op.ts'
import { type Splits, extent, partPrologue, partitionRows, rowParams, rows } from './batch-rows.ts'
import { type Running, batchStats, runningStats } from './batch-stats.ts'
import { MARKED_ROWS, marking, reluSnippet } from '../wgsl/relu-mask.ts'
import { byStorage, f16Fours, storedAs } from '../wgsl/storage.ts'

/** What a kernel writes beside y: ReLU's mask, or nothing. */
interface Beside {
  /** The entry point. */
  readonly name: Wgsl
  /** The last bindings. */
  readonly rest: Wgsl
  readonly begin: Wgsl
  readonly each: Wgsl
  readonly end: Wgsl
}

const normalizeKernel = (types: Wgsl, { name, rest, begin, each, end }: Beside) => kernel`
  struct Params { ${rowParams} }
  ${types}
  @group(0) @binding(0) var<storage, read>       x:        array<S>; // [M, C]
  @group(0) @binding(1) var<storage, read>       stats:    array<F>; // [mean | 1 / deviation, splits, C]
  @group(0) @binding(2) var<storage, read>       gamma:    array<F>; // [C]
  @group(0) @binding(3) var<storage, read>       beta:     array<F>; // [C]
  @group(0) @binding(4) var<storage, read>       residual: array<S>; // [M, C], read if added
  @group(0) @binding(5) var<storage, read>       shortcut: array<F>; // [mean | 1 / deviation | gamma | beta, C], read if normalized
  @group(0) @binding(6) var<storage, read_write> y:        array<S>; // [M, C]
  ${rest}
  override added: bool = false;
  override normalized: bool = false; // the residual, first
  override rectified: bool = false;
  ${rows}
  ${reluSnippet}
  @compute @workgroup_size(64)
  fn ${name}(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${partPrologue}
    let slope = gamma[t.channel];
    let shift = beta[t.channel];
    var means = F();
    var scales = F();
    var slopes = F();
    var shifts = F();
    if (normalized) {
      means = shortcut[t.channel];
      scales = shortcut[p.C + t.channel];
      slopes = shortcut[2u * p.C + t.channel];
      shifts = shortcut[3u * p.C + t.channel];
    }
    ${begin}
    for (var m = t.start; m < t.end; m += p.interleave) {
      let at = rowAt(t, m) * p.C + t.channel;
      let normal = (widen(x[at]) - mean) * scale;
      var value = fma(normal, slope, shift);
      if (added) {
        var more = widen(residual[at]);
        if (normalized) { more = fma((more - means) * scales, slopes, shifts); }
        value += more;
      }
      ${each}
      if (rectified) { value = through(value, value); }
      y[at] = narrow(value);
    }
    ${end}
  }
`

const normalizeImages = byStorage((types) =>
  normalizeKernel(types, {
    name: wgsl`batchNorm`,
    rest: wgsl`@group(0) @binding(7) var<uniform> p: Params;`,
    ...{ begin: wgsl``, each: wgsl``, end: wgsl`` },
  }),
)

const normalizeMarking = normalizeKernel(f16Fours, {
  name: wgsl`batchNormMarking`,
  rest: wgsl`
  @group(0) @binding(7) var<storage, read_write> marks:    array<vec2u>; // [parts, C]
  @group(0) @binding(8) var<uniform>             p:        Params;`,
  ...marking,
})

/** The settings of a batch normalisation, defaults filled in. */
export interface NormAttrs extends Splits {
  readonly training: boolean
  readonly momentum: number
  readonly eps: number
  readonly rectified: boolean
  readonly running: Running | null
}

export type NormInputs = [x: Tensor, gamma: Tensor, beta: Tensor, ...residual: [] | [Tensor]]

export type NormOutputs = [y: Tensor, stats: Tensor, ...marks: [] | [Tensor]]

/** What the forward pass may get beside its inputs. */
interface Known {
  /** What a convolution stored of x's columns (epilogue-moments.ts). */
  readonly moments?: Tensor | null
  /** The residual's own batch norm, `normOf`, which is applied where it is added. Of one split. */
  readonly shortcut?: Tensor | null
}

/** The forward pass: y, stored as x is, the statistics, and, of f16 behind a residual, ReLU's
 *  mask. */
export function batchNormForward(
  run: Run,
  norm: NormAttrs,
  inputs: Readonly<NormInputs>,
  { moments = null, shortcut = null }: Known = {},
): NormOutputs {
  const [x, gamma, beta, residual = x] = inputs
  const { shape, dtype } = x
  const stats = statistics(run, norm, x, moments)
  const { params, constants, groups, parts } = partitionRows(x, MARKED_ROWS, norm)
  const flags = {
    added: Number(inputs.length > 3),
    normalized: Number(shortcut !== null),
    rectified: Number(norm.rectified),
  }
  const pass = {
    reads: [x, stats, gamma, beta, storedAs(run, dtype, residual), shortcut ?? stats],
    params,
    groups,
    constants: { ...constants, ...flags },
  }
  const { C } = extent(x)
  if (dtype === 'f16' && norm.rectified && inputs.length > 3 && norm.splits === 1) {
    const words = { shape: [parts, C / 2], dtype: 'i32' } as const // two for four channels
    const [y, marks] = run(normalizeMarking, { ...pass, makes: [{ shape, dtype }, words] })
    return [y, stats, marks]
  }
  const [y] = run(normalizeImages(x, C), { ...pass, makes: [{ shape, dtype }] })
  return [y, stats]
}

const packKernel = kernel`
  struct Params { C: u32 }
  @group(0) @binding(0) var<storage, read>       stats: array<f32>; // [mean | 1 / deviation, C]
  @group(0) @binding(1) var<storage, read>       gamma: array<f32>; // [C]
  @group(0) @binding(2) var<storage, read>       beta:  array<f32>; // [C]
  @group(0) @binding(3) var<storage, read_write> norm:  array<f32>; // [mean | 1 / deviation | gamma | beta, C]
  @group(0) @binding(4) var<uniform>             p:     Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn packNorm(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let c = flat(id, groups);
    if (c >= p.C) { return; }
    norm[c] = stats[c];
    norm[p.C + c] = stats[p.C + c];
    norm[2u * p.C + c] = gamma[c];
    norm[3u * p.C + c] = beta[c];
  }
`

/** A batch norm as one tensor, [mean | 1 / deviation | gamma | beta, C]: kernels bind few. */
export function normOf(run: Run, stats: Tensor, gamma: Tensor, beta: Tensor): Tensor {
  const C = sizeOf(gamma.shape)
  const [norm] = run(packKernel, {
    reads: [stats, gamma, beta],
    makes: [[4, C]],
    params: { C },
    groups: elementwise(C),
  })
  return norm
}

/** Mean and 1 / deviation of x's channels, [2 or 3, splits, C]. */
export function statistics(
  run: Run,
  { training, running, momentum, eps, splits, inTurn }: NormAttrs,
  x: Tensor,
  moments: Tensor | null,
): Tensor {
  if (training) return batchStats(run, x, running, { momentum, eps, splits, inTurn }, moments)
  if (!running) throw new Error('batchNorm: running statistics are needed outside training')
  return runningStats(run, running, extent(x).C, eps)
}
