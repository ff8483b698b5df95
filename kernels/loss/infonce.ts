// InfoNCE against a queue, the loss of Momentum Contrast (He et al. 2020,
// https://arxiv.org/abs/1911.05722, Eq. 1).
//
//   q [N, C] queries, k [N, C] their keys, queue [K, C] keys of earlier batches, unit rows
//   loss = 1/N Σ_n log(1 + exp(d_n)),  d_n = logsumexp_j q_n·queue_j / T - q_n·k_n / T
//   dq_n = share_n / (N T) (Σ_j p_nj queue_j - k_n)
//   with share_n = 1/(1 + exp(-d_n)) and p_n = softmax_j(q_n·queue_j / T)
//
// Keys are constants, so Σ_j p_nj queue_j is the output of attention. One pass over the queue
// (infonce-attend.ts) gives the loss and dq. No logits are stored: memory is O(N C).

import {
  type Op,
  type Scalar,
  type Shape,
  type Tensor,
  ShapeError,
  derive,
  elementwise,
  flatIndex,
  kernel,
  matrix,
  op,
  show,
} from '../op.ts'
import { attend } from './infonce-attend.ts'
import { queriesBackward } from './infonce-backward.ts'
import { zeroTimes } from '../wgsl/nan.ts'
import { meanOfRows } from './ntxent.ts'
import { type Temperature, atTemperature } from './temperature.ts'
import { type Unit, checkTemperature, currentTemperature } from '../similarity/pairs.ts'
import { lowest } from '../wgsl/lowest.ts'
import { log1pUnit, preciseLog } from '../wgsl/pointwise.ts'
import { unitRow } from '../wgsl/unit-row.ts'
import { padded } from '../similarity/tiles.ts'
import { checkOptions, flag } from '../options.ts'

const unitKernel = kernel`
  struct Params { N: u32, C: u32, rows: u32, normalized: u32 }
  @group(0) @binding(0) var<storage, read>       q:     array<f32>; // [N, C]
  @group(0) @binding(1) var<storage, read>       k:     array<f32>; // [N, C]
  @group(0) @binding(2) var<storage, read_write> qT:    array<f32>; // [C, rows], unit, zero where padded
  @group(0) @binding(3) var<storage, read_write> kT:    array<f32>; // [C, rows], likewise
  @group(0) @binding(4) var<storage, read_write> scale: array<f32>; // [rows], 1 / |q|, or 0
  @group(0) @binding(5) var<uniform>             p:     Params;
  ${flatIndex}
  ${unitRow}
  @compute @workgroup_size(64)
  fn infonceUnit(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = flat(id, groups);
    if (n >= p.rows) { return; }
    var squares = vec2f();
    if (n < p.N) {
      for (var c = 0u; c < p.C; c++) {
        let value = vec2f(q[n * p.C + c], k[n * p.C + c]);
        squares += value * value;
      }
    }
    let length = sqrt(squares);
    let unit = p.normalized == 1u;
    let s = vec2f(unitScale(length.x, unit), unitScale(length.y, unit));
    scale[n] = unitGradientScale(length.x, unit);
    for (var c = 0u; c < p.C; c++) {
      var value = vec2f();
      if (n < p.N) { value = vec2f(q[n * p.C + c], k[n * p.C + c]) * s; }
      qT[c * p.rows + n] = value.x;
      kT[c * p.rows + n] = value.y;
    }
  }
`

const rowsKernel = kernel`
  struct Params { N: u32, C: u32, rows: u32, splits: u32, scale: f32 }
  @group(0) @binding(0) var<storage, read>       qT:         array<f32>; // [C, rows]
  @group(0) @binding(1) var<storage, read>       kT:         array<f32>; // [C, rows]
  @group(0) @binding(2) var<storage, read>       statistics: array<f32>; // [top | sum, splits, rows]
  @group(0) @binding(3) var<storage, read_write> rowStats:   array<f32>; // [loss | top | share / sum, rows]
  @group(0) @binding(4) var<uniform>             p:          Params;
  ${flatIndex}
  ${lowest}
  ${log1pUnit}
  ${preciseLog}
  ${zeroTimes}
  @compute @workgroup_size(64)
  fn infonceRows(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = flat(id, groups);
    if (n >= p.rows) { return; }
    var top = LOWEST;
    for (var s = 0u; s < p.splits; s++) { top = max(top, statistics[s * p.rows + n]); }
    var sum = 0.0;
    for (var s = 0u; s < p.splits; s++) {
      sum += statistics[(p.splits + s) * p.rows + n] * exp(statistics[s * p.rows + n] - top);
    }
    var positive = 0.0;
    for (var c = 0u; c < p.C; c++) {
      positive = fma(qT[c * p.rows + n], kT[c * p.rows + n], positive);
    }
    let d = top - positive * p.scale + preciseLog(sum);
    let share = select(exp(d) / (1.0 + exp(d)), 1.0 / (1.0 + exp(-d)), d > 0.0);
    // An infinite positive makes d NaN, but max and abs may hide that.
    let loss = max(d, 0.0) + log1pUnit(exp(-abs(d))) + zeroTimes(positive);
    rowStats[n] = select(loss, 0.0, n >= p.N);
    rowStats[p.rows + n] = top;
    rowStats[2u * p.rows + n] = share / sum;
  }
`

interface InfoNceAttrs {
  readonly temperature: Scalar
  readonly normalized: boolean
  readonly inBatch: boolean
}

/** Checks the shapes and the temperature, and returns the sizes. */
function sizes({ temperature, inBatch }: InfoNceAttrs, q: Shape, k: Shape, queue: Shape) {
  const [N, C] = matrix(q, 'infoNce: q')
  const [K, width] = matrix(queue, 'infoNce: queue')
  if (q.join() !== k.join())
    throw new ShapeError(
      `infoNce: queries and keys must have one shape, got ${show(q)} and ${show(k)}`,
    )
  if (width !== C)
    throw new ShapeError(
      `infoNce: the queue's rows must be as long as the queries, got ${show(queue)} for ${show(q)}`,
    )
  if (N === 0 || C === 0 || K === 0)
    throw new ShapeError(
      `infoNce: needs a query, a feature and a row in the queue, got ${show(q)} and ${show(queue)}`,
    )
  if (inBatch && (K !== N || N < 2))
    throw new ShapeError(
      `infoNce: in a batch the queue must be its keys, at least two, got ${show(queue)} for ${show(q)}`,
    )
  checkTemperature('infoNce', currentTemperature('infoNce', temperature))
  return { N, C, rows: padded(N) }
}

type InfoNceInputs = [q: Tensor, k: Tensor, queue: Tensor]
type InfoNceOutputs = [
  loss: Tensor,
  qT: Tensor,
  kT: Tensor,
  scale: Tensor,
  statistics: Tensor,
  partial: Tensor,
  rowStats: Tensor,
]

/** Exported for its test. */
export const infoNceOp: Op<InfoNceInputs, InfoNceOutputs, InfoNceAttrs> = {
  name: 'infoNce',

  shape(attrs, q, k, queue) {
    sizes(attrs, q, k, queue)
    return []
  },

  forward(run, attrs, q, k, queue) {
    const { N, C, rows } = sizes(attrs, q.shape, k.shape, queue.shape)
    const scale = derive(attrs.temperature, (T) => 1 / T)
    const [qT, kT, lengths] = run(unitKernel, {
      reads: [q, k],
      makes: [[C, rows], [C, rows], [rows]],
      params: { N, C, rows, normalized: Number(attrs.normalized) },
      groups: elementwise(rows),
    })
    const { statistics, partial, splits } = attend(run, qT, queue, {
      scale,
      inBatch: attrs.inBatch,
    })
    const [rowStats] = run(rowsKernel, {
      reads: [qT, kT, statistics],
      makes: [[3, rows]],
      params: { N, C, rows, splits, scale },
      groups: elementwise(rows),
    })
    return [
      meanOfRows(run, rowStats, { N, view: rows }),
      qT,
      kT,
      lengths,
      statistics,
      partial,
      rowStats,
    ]
  },

  backward(
    run,
    { temperature, normalized },
    [dloss],
    [q],
    [, qT, kT, scale, statistics, partial, rowStats],
  ) {
    const saved = { qT, kT, scale, statistics, partial, rowStats }
    const dq = queriesBackward(run, saved, dloss, { temperature, normalized, shape: q.shape })
    return [dq, null, null]
  },
}

const applyInfoNce = op(infoNceOp, 'q', 'k', 'queue')

/** MoCo's loss (Eq. 1): queries q [N, C], their keys k [N, C], the positives, and a queue [K, C]
 *  of unit rows, the negatives -> []. The gradient goes to q, and to a temperature that is a tensor
 *  []. q and k are normalised inside unless `normalized`; a zero query gets no gradient. Equals
 *  log(1 + K) when all similarities are equal. NaN or infinity anywhere makes it NaN. `inBatch` is
 *  MoCo v3's contrast: the queue is the keys of this batch, N = K of at least two, and row n is
 *  only query n's positive; log(N) when all are equal. Memory is O(N C). Throws ShapeError, and
 *  RangeError for the temperature. */
export const infoNce = (
  q: Tensor,
  k: Tensor,
  queue: Tensor,
  temperature: Temperature,
  options: Unit & { readonly inBatch?: boolean } = {},
): Tensor => {
  const rules = { normalized: flag, inBatch: flag }
  const { normalized = false, inBatch = false } = checkOptions('infoNce', options, rules)
  const given = { name: 'infoNce', temperature, normalized, powers: [1, 0] } as const
  return atTemperature(given, [q, k], (attrs, a, b) =>
    applyInfoNce({ ...attrs, inBatch }, a, b, queue),
  )
}
