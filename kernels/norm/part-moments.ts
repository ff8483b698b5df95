// Moments of parts of x's rows, which batch-stats.ts merges into the statistics of a channel.

import { type Run, type Tensor, dim, elementwise, flatIndex, kernel } from '../op.ts'
import { type Splits, extent, partitionRows, rowParams, rows, rowsPerSum } from './batch-rows.ts'
import { MOMENT_ROWS } from '../tiles/epilogue-moments.ts'
import { byStorage } from '../wgsl/storage.ts'
import { byWidth, widthOf } from '../wgsl/widths.ts'

const MAX_PARTS = 512 // of one channel, beyond which chunks are merged first

const momentsKernel = byStorage(
  (types) => kernel`
  struct Params { ${rowParams} }
  ${types}
  @group(0) @binding(0) var<storage, read>       x:   array<S>; // [M, C]
  @group(0) @binding(1) var<storage, read_write> out: array<F>; // [mean | squared deviations, parts, C]
  @group(0) @binding(2) var<uniform>             p:   Params;
  ${rows}
  @compute @workgroup_size(64)
  fn batchMoments(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.parts * p.C) { return; }
    let t = part(i);
    var sum = F();
    for (var m = t.start; m < t.end; m += p.interleave) { sum += widen(x[rowAt(t, m) * p.C + t.channel]); }
    let mean = sum / f32(max(t.count, 1u));
    var squares = F();
    for (var m = t.start; m < t.end; m += p.interleave) {
      let d = widen(x[rowAt(t, m) * p.C + t.channel]) - mean;
      squares = fma(d, d, squares);
    }
    out[i] = mean;
    out[p.parts * p.C + i] = squares;
  }
`,
)

// Merges successive chunks into one. A thread takes one channel, or four.
const mergeKernel = byWidth(
  (types) => kernel`
  struct Params { M: u32, C: u32, rows: u32, each: u32, chunks: u32, parts: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       moments: array<F>; // [mean | squared deviations, chunks, C]
  @group(0) @binding(1) var<storage, read_write> out:     array<F>; // [mean | squared deviations, parts, C]
  @group(0) @binding(2) var<uniform>             p:       Params;
  ${flatIndex}
  fn count(chunk: u32) -> f32 { return f32(min(p.M - chunk * p.rows, p.rows)); }
  @compute @workgroup_size(64)
  fn mergeMoments(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.parts * p.C) { return; }
    let channel = i % p.C;
    let begin = i / p.C * p.each;
    let end = min(begin + p.each, p.chunks);
    let first = moments[begin * p.C + channel];
    var sum = F();
    var total = 0.0;
    for (var k = begin; k < end; k += 8u) {
      var means = array<F, 8>(); // loaded together, then added in order
      for (var e = 0u; e < 8u; e++) { means[e] = moments[min(k + e, end - 1u) * p.C + channel]; }
      for (var e = 0u; e < 8u; e++) {
        if (k + e < end) {
          sum = fma(F(count(k + e)), means[e] - first, sum);
          total += count(k + e);
        }
      }
    }
    let mean = first + sum / total;
    var squares = F();
    for (var k = begin; k < end; k += 4u) {
      var means = array<F, 4>();
      var owns = array<F, 4>();
      for (var e = 0u; e < 4u; e++) {
        let at = min(k + e, end - 1u);
        means[e] = moments[at * p.C + channel];
        owns[e] = moments[(p.chunks + at) * p.C + channel];
      }
      for (var e = 0u; e < 4u; e++) {
        let d = means[e] - mean;
        if (k + e < end) { squares += fma(count(k + e) * d, d, owns[e]); }
      }
    }
    out[i] = mean;
    out[p.parts * p.C + i] = squares;
  }
`,
)

/** Moments [2, parts, C] of parts of x's rows, and the Params and constants that describe the
 *  parts. Computed from x, or merged from the moments that a convolution stored. */
export function partMoments(run: Run, x: Tensor, of: Splits, stored: Tensor | null) {
  const { M, C } = extent(x)
  const { params: whole, parts: own, constants, groups } = partitionRows(x, rowsPerSum(run, x), of)
  if (!stored) {
    const dispatch = { params: whole, constants, groups }
    const [moments] = run(momentsKernel(x, C), { reads: [x], makes: [[2, own, C]], ...dispatch })
    return { moments, params: whole, constants }
  }
  const chunks = dim(stored.shape, 1)
  const each = Math.ceil(chunks / MAX_PARTS)
  const parts = Math.ceil(chunks / each)
  const params = { ...whole, interleave: 1, rows: MOMENT_ROWS * each, parts }
  if (each === 1) return { moments: stored, params, constants }
  const width = C / widthOf(C)
  const [moments] = run(mergeKernel(C), {
    reads: [stored],
    makes: [[2, parts, C]],
    params: { M, C: width, rows: MOMENT_ROWS, each, chunks, parts },
    groups: elementwise(parts * width),
  })
  return { moments, params, constants }
}
