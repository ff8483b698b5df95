// Cross entropy with class weights w, label smoothing s and targets t: one class per row, or a
// distribution over the C classes. As in torch, with
//   q[c] = w[c] ((1 - s) t[c] + s / C),  loss of a row = -sum(q log softmax(x)),
// and the mean divides by the sum of the labels' weights, or by the number of rows of
// distributions. The plain form is in cross-entropy.ts.

import {
  type Op,
  type Shape,
  type Tensor,
  type Wgsl,
  ShapeError,
  flatIndex,
  kernel,
  matrix,
  op,
  show,
  wgsl,
} from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { asIntegers } from '../wgsl/indices.ts'
import { lines, perLine, sumOverLine } from '../wgsl/lines.ts'
import { lowest } from '../wgsl/lowest.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { sumAxes } from '../wgsl/reduce.ts'
import { meanKernel } from './cross-entropy-mean.ts'

const struct = wgsl`
  struct Params {
    count: u32, N: u32, C: u32, ignore: i32, weighted: u32, smoothing: f32, nan: f32,
  }`

/** WGSL of the targets: their binding, `target(n, c)`, whether row n `counts`, whether its label is
 *  `valid`, and its share of the mean's divisor, `rowWeight(n)`. */
interface Targets {
  readonly name: Wgsl
  readonly binding: Wgsl
  readonly functions: Wgsl
}

const labels: Targets = {
  name: wgsl`Labels`,
  binding: wgsl`@group(0) @binding(1) var<storage, read>       targets: array<i32>; // [N]`,
  functions: wgsl`
  fn targetOf(n: u32, c: u32) -> f32 { return select(0.0, 1.0, targets[n] == i32(c)); }
  fn counts(n: u32) -> bool { return targets[n] != p.ignore; }
  fn valid(n: u32) -> bool { return targets[n] >= 0 && targets[n] < i32(p.C); }
  fn rowWeight(n: u32) -> f32 {
    if (!valid(n)) { return 1.0; }
    return weightOf(u32(targets[n]));
  }`,
}

const distributions: Targets = {
  name: wgsl`Soft`,
  binding: wgsl`@group(0) @binding(1) var<storage, read>       targets: array<f32>; // [N, C]`,
  functions: wgsl`
  fn targetOf(n: u32, c: u32) -> f32 { return targets[n * p.C + c]; }
  fn counts(n: u32) -> bool { return true; }
  fn valid(n: u32) -> bool { return true; }
  fn rowWeight(n: u32) -> f32 { return 1.0; }`,
}

const shares = ({ functions }: Targets) => wgsl`
  fn weightOf(c: u32) -> f32 {
    if (p.weighted == 0u) { return 1.0; }
    return weight[c];
  }
  ${functions}
  fn share(n: u32, c: u32) -> f32 { // q
    return weightOf(c) * ((1.0 - p.smoothing) * targetOf(n, c) + p.smoothing / f32(p.C));
  }`

const rowsKernel = (of: Targets) => kernel`
  ${struct}
  @group(0) @binding(0) var<storage, read>       x:       array<f32>; // [N, C]
  ${of.binding}
  @group(0) @binding(2) var<storage, read>       weight:  array<f32>; // [C]
  @group(0) @binding(3) var<storage, read_write> losses:  array<f32>; // [2, N]: loss, rowWeight
  @group(0) @binding(4) var<storage, read_write> stats:   array<f32>; // [3, N]: m, total, sum(q)
  @group(0) @binding(5) var<uniform>             p:       Params;
  ${lines}
  ${lowest}
  ${shares(of)}
  fn below(n: u32, c: u32, m: f32) -> f32 { // a class without a share may be masked by -Infinity
    let q = share(n, c);
    return select(q * (m - x[n * p.C + c]), 0.0, q == 0.0);
  }
  fn expSum(n: u32, lane: u32, thread: u32, m: f32) -> f32 {
    ${sumOverLine(wgsl`p.C`, wgsl`exp(x[n * p.C + r] - m)`)}
    return lineSum(thread, sum);
  }
  fn shareSum(n: u32, lane: u32, thread: u32) -> f32 {
    ${sumOverLine(wgsl`p.C`, wgsl`share(n, r)`)}
    return lineSum(thread, sum);
  }
  @compute @workgroup_size(64)
  fn crossEntropy${of.name}(${groupEntry}) {
    let n = min(lineIndex(group, groups, thread), p.N - 1u); // rows beyond the last repeat it
    let lane = laneOf(thread);
    var most = LOWEST;
    for (var c = lane; c < p.C; c += lanes) { most = max(most, x[n * p.C + c]); }
    let m = lineMax(thread, most);
    let total = expSum(n, lane, thread, m);
    let all = shareSum(n, lane, thread);
    ${sumOverLine(wgsl`p.C`, wgsl`below(n, r, m)`)}
    let rest = lineSum(thread, sum);
    if (lane != 0u) { return; }
    var loss = rest + all * log(total);
    if (!valid(n)) { loss = p.nan; }
    losses[n] = select(0.0, loss, counts(n));
    losses[p.N + n] = select(0.0, rowWeight(n), counts(n));
    stats[n] = m;
    stats[p.N + n] = total;
    stats[2u * p.N + n] = all;
  }
`

// dx = (sum(q) softmax(x) - q) dloss / divisor
const logitsKernel = (of: Targets) => kernel`
  ${struct}
  @group(0) @binding(0) var<storage, read>       x:       array<f32>; // [N, C]
  ${of.binding}
  @group(0) @binding(2) var<storage, read>       weight:  array<f32>; // [C]
  @group(0) @binding(3) var<storage, read>       stats:   array<f32>; // [3, N]
  @group(0) @binding(4) var<storage, read>       sums:    array<f32>; // [2]: losses, divisor
  @group(0) @binding(5) var<storage, read>       dloss:   array<f32>; // []
  @group(0) @binding(6) var<storage, read_write> dx:      array<f32>; // [N, C]
  @group(0) @binding(7) var<uniform>             p:       Params;
  ${flatIndex}
  ${shares(of)}
  @compute @workgroup_size(64)
  fn crossEntropy${of.name}Logits(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let n = i / p.C;
    let softmax = exp(x[i] - stats[n]) / stats[p.N + n];
    var d = (stats[2u * p.N + n] * softmax - share(n, i % p.C)) * dloss[0] / sums[1];
    if (!valid(n)) { d = p.nan; }
    dx[i] = select(0.0, d, counts(n));
  }
`

// dt = -(1 - s) w log softmax(x) dloss / N
const targetsKernel = kernel`
  ${struct}
  @group(0) @binding(0) var<storage, read>       x:      array<f32>; // [N, C]
  @group(0) @binding(1) var<storage, read>       weight: array<f32>; // [C]
  @group(0) @binding(2) var<storage, read>       stats:  array<f32>; // [3, N]
  @group(0) @binding(3) var<storage, read>       dloss:  array<f32>; // []
  @group(0) @binding(4) var<storage, read_write> dt:     array<f32>; // [N, C]
  @group(0) @binding(5) var<uniform>             p:      Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn crossEntropyTargets(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let n = i / p.C;
    var w = 1.0;
    if (p.weighted == 1u) { w = weight[i % p.C]; }
    let loss = stats[n] - x[i] + log(stats[p.N + n]);
    dt[i] = (1.0 - p.smoothing) * w * loss * dloss[0] / f32(p.N);
  }
`

interface Attrs {
  readonly ignore: number
  readonly smoothing: number
}

type Inputs = [x: Tensor, targets: Tensor, ...weight: [] | [Tensor]]
type Outputs = [loss: Tensor, stats: Tensor, sums: Tensor]

function paramsOf({ ignore, smoothing }: Attrs, { shape }: Tensor, weight?: Tensor) {
  const [N, C] = matrix(shape, 'crossEntropy: logits')
  return { N, C, ignore, weighted: Number(weight !== undefined), smoothing, nan: NaN }
}

function checkShapes(isSoft: boolean, x: Shape, targets: Shape, weight?: Shape): Shape {
  const [N, C] = matrix(x, 'crossEntropy: logits')
  if (isSoft ? targets.join() !== x.join() : targets.length !== 1 || targets[0] !== N)
    throw new ShapeError(
      isSoft
        ? `crossEntropy: soft targets must have the logits' shape ${show(x)}, got ${show(targets)}`
        : `crossEntropy: one label per row is needed, got ${show(targets)} for ${show(x)}`,
    )
  if (weight && (weight.length !== 1 || weight[0] !== C))
    throw new ShapeError(
      `crossEntropy: weight must have one value per class, got ${show(weight)} for ${show(x)}`,
    )
  return []
}

function targetsOp(of: Targets): Op<Inputs, Outputs, Attrs> {
  const [rows, logits] = [rowsKernel(of), logitsKernel(of)]
  const isSoft = of === distributions
  return {
    name: 'crossEntropy',
    accepts: ['f32', isSoft ? 'f32' : 'index'],
    shape: (_, x, targets, ...[weight]) => checkShapes(isSoft, x, targets, weight),
    forward(run, attrs, x, targets, ...[weight]) {
      const { N, C, ...params } = paramsOf(attrs, x, weight)
      const [losses, stats] = run(rows, {
        reads: [x, isSoft ? targets : asIntegers(run, targets), weight ?? x],
        makes: [
          [2, N],
          [3, N],
        ],
        params: { count: N, N, C, ...params },
        ...perLine(run, N, C),
      })
      const sums = sumAxes(run, losses, [1])
      const [loss] = run(meanKernel, {
        reads: [sums],
        makes: [[]],
        params: { nan: NaN },
        groups: [1],
      })
      return [loss, stats, sums]
    },
    backward(run, attrs, [dloss], [x, targets, ...[weight]], [, stats, sums], [needsX, needsT]) {
      const params = paramsOf(attrs, x, weight)
      const own = isSoft ? targets : asIntegers(run, targets)
      const w = weight ?? x
      const dx = () =>
        perElement(run, logits, x.shape, { reads: [x, own, w, stats, sums, dloss], params })
      const dt = () =>
        perElement(run, targetsKernel, x.shape, { reads: [x, w, stats, dloss], params })
      return [needsX ? dx() : null, isSoft && needsT ? dt() : null, null]
    },
  }
}

const applyLabels = op(targetsOp(labels), 'logits', 'labels', 'weight')
const applySoft = op(targetsOp(distributions), 'logits', 'labels', 'weight')

/** The cross entropy of logits [N, C] with labels [N] or, where `isSoft`, distributions [N, C]. */
export function crossEntropyTo(
  attrs: Attrs,
  isSoft: boolean,
  logits: Tensor,
  targets: Tensor,
  weight: Tensor | undefined,
): Tensor {
  const inputs: Inputs = weight ? [logits, targets, weight] : [logits, targets]
  return (isSoft ? applySoft : applyLabels)(attrs, ...inputs)
}
