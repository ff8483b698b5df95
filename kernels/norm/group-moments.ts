// The kernels of layerNorm and groupNorm: y = (x - mean) / sqrt(variance + eps) gamma + beta, with
// mean and variance of each group of elements. A snippet, `Walk`, says how a group lies in x. Mean
// and variance take a pass each, so that a large mean costs no digits.

import {
  type Kernel,
  type Run,
  type Shape,
  type Tensor,
  type Wgsl,
  ShapeError,
  elementwise,
  flatIndex,
  kernel,
  show,
  wgsl,
} from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { lines, perLine, sumOverLine } from '../wgsl/lines.ts'
import { sumSplits } from '../wgsl/sum-splits.ts'

/** WGSL of `at(line, r)`, the offset of element r of a group, `channel(line, r)`, its channel, and
 *  `groupAt(row, c)`, the group of channel c of a row of x [rows, C]. They read the Params K, P and
 *  G. */
interface Walk {
  readonly name: Wgsl
  readonly walk: Wgsl
}

/** The extent of x [rows, C] in groups: `count` groups of R elements, K channels of each of P rows
 *  in a group, G groups side by side. */
export interface Groups {
  readonly count: number
  readonly R: number
  readonly rows: number
  readonly C: number
  readonly K: number
  readonly P: number
  readonly G: number
}

const struct = wgsl`
  struct Params {
    count: u32, R: u32, rows: u32, C: u32, K: u32, P: u32, G: u32, each: u32, eps: f32,
  }`

const forwardKernel = ({ name, walk }: Walk) => kernel`
  ${struct}
  @group(0) @binding(0) var<storage, read>       x:     array<f32>; // [rows, C]
  @group(0) @binding(1) var<storage, read>       gamma: array<f32>; // [C]
  @group(0) @binding(2) var<storage, read>       beta:  array<f32>; // [C]
  @group(0) @binding(3) var<storage, read_write> y:     array<f32>; // [rows, C]
  @group(0) @binding(4) var<storage, read_write> stats: array<f32>; // [2, count]: mean, scale
  @group(0) @binding(5) var<uniform>             p:     Params;
  ${lines}
  ${walk}
  fn meanOf(line: u32, lane: u32, thread: u32) -> f32 {
    ${sumOverLine(wgsl`p.R`, wgsl`x[at(line, r)]`)}
    return lineSum(thread, sum) / f32(p.R);
  }
  fn square(v: f32) -> f32 { return v * v; }
  fn varianceOf(line: u32, lane: u32, thread: u32, mean: f32) -> f32 {
    ${sumOverLine(wgsl`p.R`, wgsl`square(x[at(line, r)] - mean)`)}
    return lineSum(thread, sum) / f32(p.R);
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
    for (var r = lane; r < p.R; r += lanes) {
      let e = at(line, r);
      let c = channel(line, r);
      y[e] = (x[e] - mean) * scale * gamma[c] + beta[c];
    }
  }
`

// With n = (x - mean) scale and d = dy gamma:  dx = scale (d - mean(d) - n mean(d n))
const inputKernel = ({ name, walk }: Walk) => kernel`
  ${struct}
  @group(0) @binding(0) var<storage, read>       x:     array<f32>; // [rows, C]
  @group(0) @binding(1) var<storage, read>       gamma: array<f32>; // [C]
  @group(0) @binding(2) var<storage, read>       stats: array<f32>; // [2, count]
  @group(0) @binding(3) var<storage, read>       dy:    array<f32>; // [rows, C]
  @group(0) @binding(4) var<storage, read_write> dx:    array<f32>; // [rows, C]
  @group(0) @binding(5) var<uniform>             p:     Params;
  ${lines}
  ${walk}
  fn normal(line: u32, r: u32) -> f32 {
    return (x[at(line, r)] - stats[line]) * stats[p.count + line];
  }
  fn scaled(line: u32, r: u32) -> f32 { return dy[at(line, r)] * gamma[channel(line, r)]; }
  fn meanOf(line: u32, lane: u32, thread: u32) -> f32 {
    ${sumOverLine(wgsl`p.R`, wgsl`scaled(line, r)`)}
    return lineSum(thread, sum) / f32(p.R);
  }
  fn alongOf(line: u32, lane: u32, thread: u32) -> f32 {
    ${sumOverLine(wgsl`p.R`, wgsl`scaled(line, r) * normal(line, r)`)}
    return lineSum(thread, sum) / f32(p.R);
  }
  @compute @workgroup_size(64)
  fn ${name}Input(${groupEntry}) {
    let line = min(lineIndex(group, groups, thread), p.count - 1u);
    let lane = laneOf(thread);
    let mean = meanOf(line, lane, thread);
    let along = alongOf(line, lane, thread);
    for (var r = lane; r < p.R; r += lanes) {
      dx[at(line, r)] = stats[p.count + line] * (scaled(line, r) - mean - normal(line, r) * along);
    }
  }
`

// dgamma is the sum over rows of dy n, dbeta that of dy. A thread adds `each` rows of a channel.
const scalesKernel = ({ name, walk }: Walk) => kernel`
  ${struct}
  @group(0) @binding(0) var<storage, read>       x:      array<f32>; // [rows, C]
  @group(0) @binding(1) var<storage, read>       stats:  array<f32>; // [2, count]
  @group(0) @binding(2) var<storage, read>       dy:     array<f32>; // [rows, C]
  @group(0) @binding(3) var<storage, read_write> dgamma: array<f32>; // [parts, C]
  @group(0) @binding(4) var<storage, read_write> dbeta:  array<f32>; // [parts, C]
  @group(0) @binding(5) var<uniform>             p:      Params;
  ${flatIndex}
  ${walk}
  @compute @workgroup_size(64)
  fn ${name}Scales(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    let c = i % p.C;
    let begin = i / p.C * p.each;
    if (begin >= p.rows) { return; }
    var sums = vec2f();
    for (var row = begin; row < min(begin + p.each, p.rows); row++) {
      let line = groupAt(row, c);
      let n = (x[row * p.C + c] - stats[line]) * stats[p.count + line];
      sums += dy[row * p.C + c] * vec2f(n, 1.0);
    }
    dgamma[i] = sums.x;
    dbeta[i] = sums.y;
  }
`

export type GroupNormOutputs = [y: Tensor, stats: Tensor]

/** The forward and the backward pass of a norm whose groups lie as `walk` says. */
export function groupMoments(walk: Walk) {
  const [forward, input, scales] = [forwardKernel(walk), inputKernel(walk), scalesKernel(walk)]
  return {
    forward: (run: Run, of: Groups, eps: number, [x, gamma, beta]: Inputs): GroupNormOutputs =>
      run(forward, {
        reads: [x, gamma, beta],
        makes: [x.shape, [2, of.count]],
        params: { ...of, each: 0, eps },
        ...perLine(run, of.count, of.R),
      }) as GroupNormOutputs,
    backward(
      run: Run,
      of: Groups,
      { dy, x, gamma, stats }: Saved,
      [needsX, ...needsScales]: readonly boolean[],
    ): readonly (Tensor | null)[] {
      const [dx] = needsX
        ? run(input, {
            reads: [x, gamma, stats, dy],
            makes: [x.shape],
            params: { ...of, each: 0, eps: 0 },
            ...perLine(run, of.count, of.R),
          })
        : [null]
      const sums = needsScales.includes(true) ? scaleGradients(run, scales, of, [x, stats, dy]) : []
      return [dx, ...needsScales.map((isNeeded, i) => (isNeeded ? (sums[i]?.() ?? null) : null))]
    },
  }
}

type Inputs = readonly [x: Tensor, gamma: Tensor, beta: Tensor]

interface Saved {
  readonly dy: Tensor
  readonly x: Tensor
  readonly gamma: Tensor
  readonly stats: Tensor
}

/** About as many rows in a thread's sum as there are such sums to add up. */
const rowsPerThread = (rows: number) => Math.max(32, Math.ceil(Math.sqrt(rows)))

/** Functions that add up the gradients of gamma and of beta. */
function scaleGradients(run: Run, program: Kernel, of: Groups, reads: readonly Tensor[]) {
  const each = rowsPerThread(of.rows)
  const parts = Math.max(1, Math.ceil(of.rows / each))
  const made: Shape = [parts, of.C]
  const partial = run(program, {
    reads,
    makes: [made, made],
    params: { ...of, each, eps: 0 },
    groups: elementwise(parts * of.C),
  })
  return partial.map((sums) => () => sumSplits(run, sums, [of.C]))
}

/** Throws ShapeError unless gamma and beta have one value per channel of x [..., C]. */
export function checkScales(name: string, x: Shape, scales: Readonly<Record<string, Shape>>) {
  for (const [scale, shape] of Object.entries(scales))
    if (shape.length !== 1 || shape[0] !== x.at(-1))
      throw new ShapeError(
        `${name}: ${scale} must have one value per channel, got ${show(shape)} for x ${show(x)}`,
      )
}
