// The mean over rows of -log softmax(x)[label]. Let m be the largest logit, e = exp(x - m), and
// `others` the sum of e over all classes except the label. A row's loss is log1p(others /
// e[label]), and its gradient at the label is -others / (others + e[label]). Neither loses digits
// when a row is nearly learnt, as log(sum) and softmax - 1 do.

import {
  type Op,
  type Tensor,
  ShapeError,
  flatIndex,
  kernel,
  matrix,
  op,
  show,
  wgsl,
} from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { type Indices, NO_INDEX, asIntegers, indexTensor } from '../wgsl/indices.ts'
import { lines, perLine, sumOverLine } from '../wgsl/lines.ts'
import { lowest } from '../wgsl/lowest.ts'
import { log1pUnit, pointwise } from '../wgsl/pointwise.ts'
import { sumAxes } from '../wgsl/reduce.ts'
import { anything, checkOptions, checkTensor, isTensor, share, tensor } from '../options.ts'
import { meanKernel } from './cross-entropy-mean.ts'
import { crossEntropyTo } from './cross-entropy-targets.ts'

const rowsKernel = kernel`
  struct Params { N: u32, C: u32, ignore: i32, nan: f32 }
  @group(0) @binding(0) var<storage, read>       x:      array<f32>; // [N, C]
  @group(0) @binding(1) var<storage, read>       labels: array<i32>; // [N]
  @group(0) @binding(2) var<storage, read_write> losses: array<f32>; // [2, N]: loss; 1 if it counts
  @group(0) @binding(3) var<storage, read_write> stats:  array<f32>; // [2, N]: m, others
  @group(0) @binding(4) var<uniform>             p:      Params;
  ${lines}
  ${lowest}
  ${log1pUnit}
  @compute @workgroup_size(64)
  fn crossEntropyRows(${groupEntry}) {
    let n = min(lineIndex(group, groups, thread), p.N - 1u); // rows beyond the last repeat it
    let lane = laneOf(thread);
    let row = n * p.C;
    let label = labels[n];
    var most = LOWEST;
    for (var c = lane; c < p.C; c += lanes) { most = max(most, x[row + c]); }
    let m = lineMax(thread, most);
    ${sumOverLine(wgsl`p.C`, wgsl`select(exp(x[row + r] - m), 0.0, i32(r) == label)`)}
    let others = lineSum(thread, sum);
    if (lane != 0u) { return; }
    let counts = label != p.ignore;
    var loss = 0.0;
    if (counts) {
      loss = p.nan;
      if (label >= 0 && label < i32(p.C)) {
        let below = m - x[row + u32(label)];
        let own = exp(-below);
        if (others < own) { loss = log1pUnit(others / own); } else { loss = below + log(others + own); }
      }
    }
    losses[n] = loss;
    losses[p.N + n] = select(0.0, 1.0, counts);
    stats[n] = m;
    stats[p.N + n] = others;
  }
`

const backwardKernel = kernel`
  struct Params { count: u32, N: u32, C: u32, ignore: i32, nan: f32 }
  @group(0) @binding(0) var<storage, read>       x:      array<f32>; // [N, C]
  @group(0) @binding(1) var<storage, read>       labels: array<i32>; // [N]
  @group(0) @binding(2) var<storage, read>       stats:  array<f32>; // [2, N]: m, others
  @group(0) @binding(3) var<storage, read>       sums:   array<f32>; // [2]: losses, rows that count
  @group(0) @binding(4) var<storage, read>       dloss:  array<f32>; // []
  @group(0) @binding(5) var<storage, read_write> dx:     array<f32>; // [N, C]
  @group(0) @binding(6) var<uniform>             p:      Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn crossEntropyBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let n = i / p.C;
    let label = labels[n];
    var d = 0.0;
    if (label != p.ignore && (label < 0 || label >= i32(p.C))) {
      d = p.nan;
    } else if (label != p.ignore) {
      let m = stats[n];
      let others = stats[p.N + n];
      let total = others + exp(x[n * p.C + u32(label)] - m);
      let own = i32(i % p.C) == label;
      d = select(exp(x[i] - m), -others, own) / total * dloss[0] / sums[1];
    }
    dx[i] = d;
  }
`

type CrossEntropyOutputs = [loss: Tensor, stats: Tensor, sums: Tensor]

const crossEntropyOp: Op<[x: Tensor, labels: Tensor], CrossEntropyOutputs, { ignore: number }> = {
  name: 'crossEntropy',
  accepts: ['f32', 'index'],
  shape(_, x, labels) {
    const [N] = matrix(x, 'crossEntropy: logits')
    if (labels.length !== 1 || labels[0] !== N)
      throw new ShapeError(
        `crossEntropy: one label per row is needed, got ${show(labels)} for ${show(x)}`,
      )
    return []
  },
  forward(run, { ignore }, x, labels) {
    const [N, C] = matrix(x.shape, 'crossEntropy: logits')
    const two = [2, N]
    const [losses, stats] = run(rowsKernel, {
      reads: [x, asIntegers(run, labels)],
      makes: [two, two],
      params: { N, C, ignore, nan: NaN },
      ...perLine(run, N, C),
    })
    const sums = sumAxes(run, losses, [1])
    const params = { nan: NaN }
    const [loss] = run(meanKernel, { reads: [sums], makes: [[]], params, groups: [1] })
    return [loss, stats, sums]
  },
  backward(run, { ignore }, [dloss], [x, labels], [, stats, sums]) {
    const [N, C] = matrix(x.shape, 'crossEntropy: logits')
    const reads = [x, asIntegers(run, labels), stats, sums, dloss] as const
    return [pointwise(run, backwardKernel, reads, { N, C, ignore, nan: NaN }), null]
  },
}

const applyCrossEntropy = op(crossEntropyOp, 'logits', 'labels')

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions {
  /** Label of rows that are left out of the mean, a whole number; -100 by default, as in torch. Not
   *  for soft targets. */
  readonly ignoreIndex?: number
  /** The weight of each class, [C], without a gradient. The mean of labels divides by the sum of
   *  their weights, that of soft targets by the number of rows, as in torch. */
  readonly weight?: Tensor
  /** The share of a target that is spread over all classes alike; 0 by default. */
  readonly labelSmoothing?: number
}

const rules = { ignoreIndex: anything, weight: tensor, labelSmoothing: share }

/** The mean over rows of -log softmax(logits)[label], like torch's cross_entropy: logits [N, C],
 *  labels [N] -> []. f32 labels [N, C] are soft targets, a distribution over the classes per row:
 *  the mean of -sum(target log softmax(logits)), differentiable in both. NaN when every row is
 *  ignored. A label outside the classes throws RangeError in a plain array, and makes the loss and
 *  the row's gradient NaN in a tensor. Throws ShapeError unless there is one label or distribution
 *  per row. */
export function crossEntropy(
  logits: Tensor,
  labels: Indices,
  options: CrossEntropyOptions = {},
): Tensor {
  const given = checkOptions('crossEntropy', options, rules)
  const { ignoreIndex = -100, weight, labelSmoothing = 0 } = given
  checkTensor('crossEntropy', 'logits', logits)
  const attrs = { ignore: ignoreIndex, smoothing: labelSmoothing }
  if (isSoft(labels)) {
    if (given.ignoreIndex !== undefined)
      throw new TypeError('crossEntropy: ignoreIndex is for labels, got soft targets')
    return crossEntropyTo(attrs, true, logits, labels, weight)
  }
  if (!Number.isInteger(ignoreIndex) || Math.abs(ignoreIndex) >= -NO_INDEX)
    throw new RangeError(
      `crossEntropy: ignoreIndex must be a whole number below 2^31, got ${String(ignoreIndex)}`,
    )
  const [, size] = matrix(logits.shape, 'crossEntropy: logits')
  if (Array.isArray(labels) && labels.some(Array.isArray))
    throw new TypeError(
      'crossEntropy: labels must be a flat array of whole numbers [N], got nested arrays; give soft targets as a tensor [N, C], gpu.tensor(targets)',
    )
  const index = indexTensor('crossEntropy', logits, labels, {
    ...{ size, ignore: ignoreIndex, what: 'labels' },
  })
  if (weight || labelSmoothing > 0) return crossEntropyTo(attrs, false, logits, index, weight)
  return applyCrossEntropy({ ignore: ignoreIndex }, logits, index)
}

const isSoft = (labels: Indices): labels is Tensor =>
  isTensor(labels) && labels.shape.length === 2 && labels.dtype === 'f32'
