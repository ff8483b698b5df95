// The forward pass of batch normalisation: statistics, then one pass over the images.

import { type Run, type Tensor, type Wgsl, kernel, wgsl } from '../op.ts'
import {
  type Splits,
  extent,
  partPrologue,
  partitionRows,
  reluSnippet,
  rowParams,
  rows,
} from './batch-rows.ts'
import { type Running, batchStats, runningStats } from './batch-stats.ts'
import { MARKED_ROWS, marking } from './relu-marks.ts'
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
  @group(0) @binding(5) var<storage, read_write> y:        array<S>; // [M, C]
  ${rest}
  override added: bool = false;
  override rectified: bool = false;
  ${rows}
  ${reluSnippet}
  @compute @workgroup_size(64)
  fn ${name}(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${partPrologue}
    let slope = gamma[t.channel];
    let shift = beta[t.channel];
    ${begin}
    for (var m = t.start; m < t.end; m += p.interleave) {
      let at = rowAt(t, m) * p.C + t.channel;
      let normal = (widen(x[at]) - mean) * scale;
      var value = fma(normal, slope, shift);
      if (added) { value += widen(residual[at]); }
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
    rest: wgsl`@group(0) @binding(6) var<uniform> p: Params;`,
    ...{ begin: wgsl``, each: wgsl``, end: wgsl`` },
  }),
)

const normalizeMarking = normalizeKernel(f16Fours, {
  name: wgsl`batchNormMarking`,
  rest: wgsl`
  @group(0) @binding(6) var<storage, read_write> marks:    array<vec2u>; // [parts, C]
  @group(0) @binding(7) var<uniform>             p:        Params;`,
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

/** The forward pass: y, stored as x is, the statistics, and, of f16 behind a residual, ReLU's mask.
 *  `moments`: what a convolution stored of x's columns (epilogue-moments.ts). */
export function batchNormForward(
  run: Run,
  norm: NormAttrs,
  inputs: Readonly<NormInputs>,
  moments: Tensor | null = null,
): NormOutputs {
  const [x, gamma, beta, residual = x] = inputs
  const { shape, dtype } = x
  const stats = statistics(run, norm, x, moments)
  const { params, constants, groups, parts } = partitionRows(x, MARKED_ROWS, norm)
  const flags = { added: Number(inputs.length > 3), rectified: Number(norm.rectified) }
  const pass = {
    reads: [x, stats, gamma, beta, storedAs(run, dtype, residual)],
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

function statistics(
  run: Run,
  { training, running, momentum, eps, splits, inTurn }: NormAttrs,
  x: Tensor,
  moments: Tensor | null,
): Tensor {
  if (training) return batchStats(run, x, running, { momentum, eps, splits, inTurn }, moments)
  if (!running) throw new Error('batchNorm: running statistics are needed outside training')
  return runningStats(run, running, extent(x).C, eps)
}
