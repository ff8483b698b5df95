// The forward pass of batch normalisation: statistics, then one pass over the images.

import { type Run, type Tensor, kernel } from '../op.ts'
import { extent, partPrologue, partitionRows, relu, rowParams, rows } from './batch-rows.ts'
import { type Running, batchStats, runningStats } from './batch-stats.ts'
import { byStorage, storedAs } from '../wgsl/storage.ts'

const ROWS = 16 // of a thread

const normalizeImages = byStorage(
  (types) => kernel`
  struct Params { ${rowParams} }
  ${types}
  @group(0) @binding(0) var<storage, read>       x:        array<S>; // [M, C]
  @group(0) @binding(1) var<storage, read>       stats:    array<F>; // [mean | 1 / deviation, splits, C]
  @group(0) @binding(2) var<storage, read>       gamma:    array<F>; // [C]
  @group(0) @binding(3) var<storage, read>       beta:     array<F>; // [C]
  @group(0) @binding(4) var<storage, read>       residual: array<S>; // [M, C], read if added
  @group(0) @binding(5) var<storage, read_write> y:        array<S>; // [M, C]
  @group(0) @binding(6) var<uniform>             p:        Params;
  override added: bool = false;
  override rectified: bool = false;
  ${rows}
  ${relu}
  @compute @workgroup_size(64)
  fn batchNorm(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${partPrologue}
    let slope = gamma[t.channel];
    let shift = beta[t.channel];
    for (var m = t.start; m < t.end; m += p.interleave) {
      let at = rowAt(t, m) * p.C + t.channel;
      let normal = (widen(x[at]) - mean) * scale;
      var value = fma(normal, slope, shift);
      if (added) { value += widen(residual[at]); }
      if (rectified) { value = through(value, value); }
      y[at] = narrow(value);
    }
  }
`,
)

/** The settings of a batch normalisation, defaults filled in. */
export interface Norm {
  readonly training: boolean
  readonly momentum: number
  readonly eps: number
  readonly rectified: boolean
  readonly splits: number
  readonly running: Running | null
}

export type NormInputs = [x: Tensor, gamma: Tensor, beta: Tensor, ...residual: [] | [Tensor]]

export type NormOutputs = [y: Tensor, stats: Tensor]

/** The forward pass: y, stored as x is, and the statistics. `moments`: what a convolution stored of
 *  x's columns (epilogue-moments.ts). */
export function normalize(
  run: Run,
  norm: Norm,
  inputs: Readonly<NormInputs>,
  moments: Tensor | null = null,
): NormOutputs {
  const [x, gamma, beta, residual = x] = inputs
  const { shape, dtype } = x
  const stats = statistics(run, norm, x, moments)
  const { params, constants, groups } = partitionRows(x, ROWS, norm.splits)
  const flags = { added: Number(inputs.length > 3), rectified: Number(norm.rectified) }
  const [y] = run(normalizeImages(x, extent(x).C), {
    reads: [x, stats, gamma, beta, storedAs(run, x.dtype, residual)],
    makes: [{ shape, dtype }],
    params,
    groups,
    constants: { ...constants, ...flags },
  })
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
