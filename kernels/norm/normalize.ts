// The forward pass of batch normalisation: statistics, then one pass over the images.

import { type Run, type Tensor, type Wgsl, kernel, wgsl } from '../op.ts'
import { extent, partPrologue, partitionRows, relu, rowParams, rows } from './batch-rows.ts'
import { type Running, batchStats, runningStats } from './batch-stats.ts'
import { flaggedF16 } from '../wgsl/f16-storage.ts'
import { byWidth, fours, widthOf } from '../wgsl/widths.ts'

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
    ${partPrologue}
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

export type NormOutputs = [y: Tensor, stats: Tensor, ...normals: [] | [Tensor]]

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
