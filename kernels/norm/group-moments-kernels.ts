// The kernels of group-moments.ts. They read four numbers at a time where a group's channels, which
// lie in a row, are a multiple of four.

import { type Wgsl, flatIndex, kernel, wgsl } from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { lines, sumOverLine } from '../wgsl/lines.ts'
import { byWidth } from '../wgsl/widths.ts'

/** WGSL of `at(line, r)`, the offset of element r of a group, `channel(line, r)`, its channel, and
 *  `groupAt(row, c)`, the group of channel c of a row of x [rows, C]. They read the Params K, P and
 *  G. */
export interface GroupWalk {
  readonly name: Wgsl
  readonly walk: Wgsl
}

const opening = (types: Wgsl, width: 1 | 4) => wgsl`
  struct Params {
    count: u32, R: u32, rows: u32, C: u32, K: u32, P: u32, G: u32, each: u32, eps: f32,
  }
  ${types}
  const WIDTH = ${width === 4 ? wgsl`4u` : wgsl`1u`};`

// Where a group's r-th numbers lie, WIDTH at a time, and their channels, as many.
const walked = wgsl`
  fn place(line: u32, r: u32) -> u32 { return at(line, r * WIDTH) / WIDTH; }
  fn channels(line: u32, r: u32) -> u32 { return channel(line, r * WIDTH) / WIDTH; }
`

// The sum of the numbers read at a time.
const total = (width: 1 | 4) => wgsl`
  fn total(numbers: F) -> f32 {
    return ${width === 4 ? wgsl`(numbers.x + numbers.y) + (numbers.z + numbers.w)` : wgsl`numbers`};
  }
`

const forwardKernel = ({ name, walk }: GroupWalk) =>
  byWidth(
    (types, width) => kernel`
  ${opening(types, width)}
  @group(0) @binding(0) var<storage, read>       x:     array<F>; // [rows, C]
  @group(0) @binding(1) var<storage, read>       gamma: array<F>; // [C]
  @group(0) @binding(2) var<storage, read>       beta:  array<F>; // [C]
  @group(0) @binding(3) var<storage, read_write> y:     array<F>; // [rows, C]
  @group(0) @binding(4) var<storage, read_write> stats: array<f32>; // [2, count]: mean, scale
  @group(0) @binding(5) var<uniform>             p:     Params;
  ${lines}
  ${walk}
  ${walked}
  ${total(width)}
  fn meanOf(line: u32, lane: u32, thread: u32) -> f32 {
    ${sumOverLine(wgsl`p.R / WIDTH`, wgsl`x[place(line, r)]`, wgsl`F()`)}
    return lineSum(thread, total(sum)) / f32(p.R);
  }
  fn square(v: F) -> F { return v * v; }
  fn varianceOf(line: u32, lane: u32, thread: u32, mean: f32) -> f32 {
    ${sumOverLine(wgsl`p.R / WIDTH`, wgsl`square(x[place(line, r)] - mean)`, wgsl`F()`)}
    return lineSum(thread, total(sum)) / f32(p.R);
  }
  @compute @workgroup_size(64)
  fn ${name}Forward(${groupEntry}) {
    // groups beyond the last repeat it
    let line = min(lineIndex(group, groups, thread), p.count - 1u);
    let lane = laneOf(thread);
    let mean = meanOf(line, lane, thread);
    let scale = 1.0 / sqrt(varianceOf(line, lane, thread, mean) + p.eps);
    if (lane == 0u) {
      stats[line] = mean;
      stats[p.count + line] = scale;
    }
    for (var r = lane; r < p.R / WIDTH; r += lanes) {
      let e = place(line, r);
      let c = channels(line, r);
      y[e] = (x[e] - mean) * scale * gamma[c] + beta[c];
    }
  }
`,
  )

// With n = (x - mean) scale and d = dy gamma:  dx = scale (d - mean(d) - n mean(d n))
const inputKernel = ({ name, walk }: GroupWalk) =>
  byWidth(
    (types, width) => kernel`
  ${opening(types, width)}
  @group(0) @binding(0) var<storage, read>       x:     array<F>; // [rows, C]
  @group(0) @binding(1) var<storage, read>       gamma: array<F>; // [C]
  @group(0) @binding(2) var<storage, read>       stats: array<f32>; // [2, count]
  @group(0) @binding(3) var<storage, read>       dy:    array<F>; // [rows, C]
  @group(0) @binding(4) var<storage, read_write> dx:    array<F>; // [rows, C]
  @group(0) @binding(5) var<uniform>             p:     Params;
  ${lines}
  ${walk}
  ${walked}
  ${total(width)}
  alias Pair = ${width === 4 ? wgsl`mat2x4f` : wgsl`vec2f`}; // d, and n or d n
  fn pairAt(line: u32, r: u32, stat: vec2f) -> Pair {
    let e = place(line, r);
    return Pair(dy[e] * gamma[channels(line, r)], (x[e] - stat.x) * stat.y);
  }
  fn withProduct(pair: Pair) -> Pair { return Pair(pair[0], pair[0] * pair[1]); }
  fn meansOf(line: u32, lane: u32, thread: u32, stat: vec2f) -> vec2f {
    ${sumOverLine(wgsl`p.R / WIDTH`, wgsl`withProduct(pairAt(line, r, stat))`, wgsl`Pair()`)}
    let first = lineSum(thread, total(sum[0]));
    return vec2f(first, lineSum(thread, total(sum[1]))) / f32(p.R);
  }
  @compute @workgroup_size(64)
  fn ${name}Input(${groupEntry}) {
    let line = min(lineIndex(group, groups, thread), p.count - 1u);
    let lane = laneOf(thread);
    let stat = vec2f(stats[line], stats[p.count + line]); // mean, scale
    let means = meansOf(line, lane, thread, stat);
    for (var r = lane; r < p.R / WIDTH; r += lanes) {
      let pair = pairAt(line, r, stat);
      dx[place(line, r)] = stat.y * (pair[0] - means.x - pair[1] * means.y);
    }
  }
`,
  )

// dgamma is the sum over rows of dy n, dbeta that of dy. A thread adds `each` rows of a channel.
const scalesKernel = ({ name, walk }: GroupWalk) =>
  byWidth(
    (types, width) => kernel`
  ${opening(types, width)}
  @group(0) @binding(0) var<storage, read>       x:      array<F>; // [rows, C]
  @group(0) @binding(1) var<storage, read>       stats:  array<f32>; // [2, count]
  @group(0) @binding(2) var<storage, read>       dy:     array<F>; // [rows, C]
  @group(0) @binding(3) var<storage, read_write> dgamma: array<F>; // [parts, C]
  @group(0) @binding(4) var<storage, read_write> dbeta:  array<F>; // [parts, C]
  @group(0) @binding(5) var<uniform>             p:      Params;
  ${flatIndex}
  ${walk}
  @compute @workgroup_size(64)
  fn ${name}Scales(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    let width = p.C / WIDTH;
    let c = i % width;
    let begin = i / width * p.each;
    if (begin >= p.rows) { return; }
    var along = F();
    var sum = F();
    for (var row = begin; row < min(begin + p.each, p.rows); row++) {
      let line = groupAt(row, c * WIDTH);
      let given = dy[row * width + c];
      along += given * ((x[row * width + c] - stats[line]) * stats[p.count + line]);
      sum += given;
    }
    dgamma[i] = along;
    dbeta[i] = sum;
  }
`,
  )

/** The kernels of the forward pass, of dx, and of the gradients of gamma and beta in parts, by the
 *  channels of a group. */
export const groupKernels = (walk: GroupWalk) => ({
  forward: forwardKernel(walk),
  input: inputKernel(walk),
  scales: scalesKernel(walk),
})
