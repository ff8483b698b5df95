// Sums over the rows of [M, C], channel by channel, for batch normalisation. Rows are summed in chunks and the chunks
// merged 64 at a time in a fixed order, so that two runs give the same bits and no thread sums a long column alone.

import { type Run, type Tensor, dim, elementwise, flatIndex, kernel, sizeOf, wgsl } from './op.ts'

const ROWS = 64 // that one thread sums, and parts that one thread merges

/** `part(i)`: the rows and the channel of thread i. A thread takes every lanes-th row of its chunk, so that neighbours
 *  read neighbouring numbers even where there are few channels. A partial sum's place is [parts, C]. */
export const chunks = wgsl`
  struct Part { start: u32, end: u32, count: u32, channel: u32 }
  ${flatIndex}
  fn part(i: u32) -> Part {
    let index = i / p.C;
    let chunk = index / p.lanes * p.lanes * p.rows;
    let start = chunk + index % p.lanes;
    let end = min(chunk + p.lanes * p.rows, p.M);
    if (start >= end) { return Part(); }
    return Part(start, end, (end - start + p.lanes - 1u) / p.lanes, i % p.C);
  }
`

const momentsKernel = kernel`
  struct Params { M: u32, C: u32, lanes: u32, rows: u32, parts: u32 }
  @group(0) @binding(0) var<storage, read>       x:   array<f32>;   // [M, C]
  @group(0) @binding(1) var<storage, read_write> out: array<vec4f>; // [parts, C] of (mean, M2, count, -)
  @group(0) @binding(2) var<uniform>             p:   Params;
  ${chunks}
  @compute @workgroup_size(64)
  fn batchMoments(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.parts * p.C) { return; }
    let t = part(i);
    var sum = 0.0;
    for (var m = t.start; m < t.end; m += p.lanes) { sum += x[m * p.C + t.channel]; }
    let mean = sum / f32(max(t.count, 1u));
    var M2 = 0.0;
    for (var m = t.start; m < t.end; m += p.lanes) {
      let d = x[m * p.C + t.channel] - mean;
      M2 = fma(d, d, M2);
    }
    out[i] = vec4f(mean, M2, f32(t.count), 0.0);
  }
`

const mergeMomentsKernel = kernel`
  struct Params { C: u32, parts: u32, merged: u32 }
  @group(0) @binding(0) var<storage, read>       x:   array<vec4f>; // [parts, C] of (mean, M2, count, -)
  @group(0) @binding(1) var<storage, read_write> out: array<vec4f>; // [merged, C]
  @group(0) @binding(2) var<uniform>             p:   Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn mergeMoments(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.merged * p.C) { return; }
    let first = i / p.C * 64u;
    var all = x[first * p.C + i % p.C];
    for (var part = first + 1u; part < min(first + 64u, p.parts); part++) {
      let more = x[part * p.C + i % p.C];
      let count = all.z + more.z;
      let d = more.x - all.x;
      let share = more.z / max(count, 1.0);
      all = vec4f(all.x + d * share, all.y + more.y + d * d * all.z * share, count, 0.0);
    }
    out[i] = all;
  }
`

const gradientSumsKernel = kernel`
  struct Params { M: u32, C: u32, lanes: u32, rows: u32, parts: u32 }
  @group(0) @binding(0) var<storage, read>       dy:     array<f32>; // [M, C]
  @group(0) @binding(1) var<storage, read>       x:      array<f32>; // [M, C]
  @group(0) @binding(2) var<storage, read>       stats:  array<f32>; // [mean | 1 / deviation | -, C]
  @group(0) @binding(3) var<storage, read_write> dBeta:  array<f32>; // [parts, C], sums of dy
  @group(0) @binding(4) var<storage, read_write> dGamma: array<f32>; // [parts, C], sums of dy * normalised x
  @group(0) @binding(5) var<uniform>             p:      Params;
  ${chunks}
  @compute @workgroup_size(64)
  fn batchNormSums(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.parts * p.C) { return; }
    let t = part(i);
    let mean = stats[t.channel];
    let scale = stats[p.C + t.channel];
    var sums = vec2f();
    for (var m = t.start; m < t.end; m += p.lanes) {
      let d = dy[m * p.C + t.channel];
      sums += vec2f(d, d * ((x[m * p.C + t.channel] - mean) * scale));
    }
    dBeta[i] = sums.x;
    dGamma[i] = sums.y;
  }
`

const mergeSumsKernel = kernel`
  struct Params { C: u32, parts: u32, merged: u32 }
  @group(0) @binding(0) var<storage, read>       a:    array<f32>; // [parts, C]
  @group(0) @binding(1) var<storage, read>       b:    array<f32>; // [parts, C]
  @group(0) @binding(2) var<storage, read_write> outA: array<f32>; // [merged, C]
  @group(0) @binding(3) var<storage, read_write> outB: array<f32>; // [merged, C]
  @group(0) @binding(4) var<uniform>             p:    Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn mergeSums(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.merged * p.C) { return; }
    let first = i / p.C * 64u;
    var sums = vec2f();
    for (var part = first; part < min(first + 64u, p.parts); part++) {
      sums += vec2f(a[part * p.C + i % p.C], b[part * p.C + i % p.C]);
    }
    outA[i] = sums.x;
    outB[i] = sums.y;
  }
`

/** How the rows of [M, C] are dealt out to threads that take `rows` each: the params of `chunks`, and the dispatch. */
export function deal(M: number, C: number, rows: number) {
  const lanes = Math.max(1, Math.floor(64 / Math.max(1, C)))
  const parts = Math.max(1, Math.ceil(M / (lanes * rows))) * lanes // sums over no rows are 0
  return { params: { M, C, lanes, rows, parts }, parts, groups: elementwise(parts * C) }
}

/** Mean, summed squared deviation and count of every channel of x [..., C], as [1, C] of four numbers, the last unused. */
export function moments(run: Run, x: Tensor): Tensor {
  const C = dim(x.shape, x.shape.length - 1)
  const { params, parts, groups } = deal(sizeOf(x.shape) / C, C, ROWS)
  let [sums] = run(momentsKernel, { reads: [x], makes: [[parts, C, 4]], params, groups })
  for (let left = parts; left > 1;) {
    const merged = Math.ceil(left / ROWS)
    ;[sums] = run(mergeMomentsKernel, {
      reads: [sums],
      makes: [[merged, C, 4]],
      params: { C, parts: left, merged },
      groups: elementwise(merged * C),
    })
    left = merged
  }
  return sums
}

/** Sums over rows of dy, and of dy times the normalised x: the gradients of beta [C] and gamma [C]. */
export function gradientSums(
  run: Run,
  dy: Tensor,
  x: Tensor,
  stats: Tensor,
): [dBeta: Tensor, dGamma: Tensor] {
  const C = dim(x.shape, x.shape.length - 1)
  const { params, parts, groups } = deal(sizeOf(x.shape) / C, C, ROWS)
  let sums = run(gradientSumsKernel, {
    reads: [dy, x, stats],
    makes: [
      [parts, C],
      [parts, C],
    ],
    params,
    groups,
  })
  for (let left = parts; left > 1;) {
    const merged = Math.ceil(left / ROWS)
    sums = run(mergeSumsKernel, {
      reads: sums,
      makes: [
        [merged, C],
        [merged, C],
      ],
      params: { C, parts: left, merged },
      groups: elementwise(merged * C),
    })
    left = merged
  }
  return [run.view(sums[0], [C]), run.view(sums[1], [C])]
}
