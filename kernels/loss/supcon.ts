// Supervised contrastive learning (Khosla et al. 2020, https://arxiv.org/abs/2004.11362, Eq. 2,
// L_out): every row of an image's class is a positive.
//
//   loss = 1/2N Σ_i (logsumexp_{a≠i} s_ia - 1/|P(i)| Σ_{p in P(i)} s_ip)
//   P(i) = the other rows with i's label; the image's other view is always one of them
//   G_ij = P_ij + P_ji - (2/|P(i)| where the labels agree),  P_ij = exp(s_ij - logsumexp_i)
//
// An image without a label, -1, is a class of its own.

import {
  type Op,
  type Scalar,
  type Tensor,
  ShapeError,
  derive,
  dim,
  elementwise,
  flatIndex,
  kernel,
  op,
  show,
  wgsl,
} from '../op.ts'
import { type Indices, NO_INDEX, asIntegers, checkIndices, isIndexTensor } from '../wgsl/indices.ts'
import { flatNumbers } from '../numbers.ts'
import { meanOfRows } from './ntxent.ts'
import { pairsBackward, weightedSumKernel } from '../similarity/pairs-backward.ts'
import { runStatistics, statisticsKernel } from '../similarity/row-statistics.ts'
import { type Unit, isUnit, pairsOf, unitRows } from '../similarity/pairs.ts'
import { type Temperature, atTemperature } from './temperature.ts'
import { lowest } from '../wgsl/lowest.ts'
import { preciseLog } from '../wgsl/pointwise.ts'
import { checkTensor } from '../options.ts'

/** WGSL of `sameClass(own, n, label, m)`: true where rows of images n with the labels `own` have
 *  the class of image m with `label`. A row with the label -1 has only its own image's class. */
const sameClass = wgsl`
  fn sameClass(own: vec4i, n: vec4u, label: i32, m: u32) -> vec4<bool> {
    return (own == vec4i(label)) & ((own != vec4i(-1)) | (n == vec4u(m)));
  }
`

const logSumExpKernel = statisticsKernel(
  wgsl`supConStatistics`,
  wgsl`
  @group(0) @binding(2) var<storage, read>       labels:  array<i32>; // [N]
  @group(0) @binding(3) var<storage, read_write> partial: array<f32>; // [3, blocks, 2V]
  @group(0) @binding(4) var<uniform>             p:       Params;

  const EXTRA = true;
  fn labelsOf(i: vec4u) -> vec4i {
    let n = min(image(i), vec4u(p.N - 1u));
    return vec4i(labels[n.x], labels[n.y], labels[n.z], labels[n.w]);
  }
  ${sameClass}
  fn counts(i: vec4u, j: u32) -> vec4<bool> {
    return exists(i) & exists(vec4u(j)) & (i != vec4u(j));
  }
  fn extra(i: vec4u, j: u32, s: vec4f) -> vec4f { // the similarities of positives
    let other = image(vec4u(j)).x;
    let same = sameClass(labelsOf(i), image(i), labels[min(other, p.N - 1u)], other);
    return select(vec4f(), s, same & counts(i, j));
  }
`,
)

const rowsKernel = kernel`
  struct Params { N: u32, view: u32, blocks: u32, noIndex: i32, nan: f32 }
  @group(0) @binding(0) var<storage, read>       partial:  array<f32>; // [top | sum | extra, blocks, 2V]
  @group(0) @binding(1) var<storage, read>       labels:   array<i32>; // [N]
  @group(0) @binding(2) var<storage, read_write> rowStats: array<f32>; // [loss | lse | 2 / |P|, 2V]
  @group(0) @binding(3) var<uniform>             p:        Params;
  ${flatIndex}
  ${lowest}
  ${preciseLog}
  @compute @workgroup_size(64)
  fn supConRows(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    let rows = 2u * p.view;
    if (i >= rows) { return; }
    let n = select(i, i - p.view, i >= p.view);
    var top = LOWEST;
    for (var b = 0u; b < p.blocks; b++) { top = max(top, partial[b * rows + i]); }
    var sum = 0.0;
    var positives = 0.0;
    for (var b = 0u; b < p.blocks; b++) {
      sum += partial[(p.blocks + b) * rows + i] * exp(partial[b * rows + i] - top);
      positives += partial[(2u * p.blocks + b) * rows + i];
    }
    let lse = top + preciseLog(sum);
    let label = labels[min(n, p.N - 1u)];
    var many = 0u; // rows with the label
    for (var m = 0u; m < p.N; m++) {
      many += select(0u, 2u, labels[m] == label && (label != -1 || m == n));
    }
    let share = 1.0 / f32(many - 1u);
    let loss = top - positives * share + preciseLog(sum);
    rowStats[i] = select(select(loss, p.nan, label == p.noIndex), 0.0, n >= p.N);
    rowStats[rows + i] = select(lse, 0.0, n >= p.N);
    rowStats[2u * rows + i] = 2.0 * share;
  }
`

const gradientKernel = weightedSumKernel(
  wgsl`supConWeightedSum`,
  wgsl`
  @group(0) @binding(3) var<storage, read>       rowStats: array<f32>; // [loss | lse | 2 / |P|, 2V]
  @group(0) @binding(4) var<storage, read>       labels:   array<i32>; // [N]
  @group(0) @binding(5) var<storage, read_write> partial:  array<f32>; // [splits, D padded to 8, 2V]
  @group(0) @binding(6) var<uniform>             p:        Params;

  var<private> lse: vec4f = vec4f();
  var<private> share: vec4f = vec4f();
  var<private> own: vec4i = vec4i();
  ${sameClass}
  fn prepare(i: vec4u) {
    for (var r = 0u; r < 4u; r++) {
      lse[r] = rowStats[p.rows + i[r]];
      share[r] = rowStats[2u * p.rows + i[r]];
      own[r] = labels[min(image(i)[r], p.N - 1u)];
    }
  }
  fn weigh(i: vec4u, j: u32, s: vec4f) -> vec4f {
    let other = image(vec4u(j)).x;
    let same = sameClass(own, image(i), labels[min(other, p.N - 1u)], other);
    let weight = exp(s - lse) + exp(s - rowStats[p.rows + j]) - select(vec4f(), share, same);
    return select(vec4f(), weight, exists(i) & exists(vec4u(j)) & (i != vec4u(j)));
  }
`,
)

interface Attrs {
  readonly temperature: Scalar
  readonly normalized: boolean
}

type SupConInputs = [z1: Tensor, z2: Tensor, labels: Tensor]
type SupConOutputs = [loss: Tensor, z: Tensor, zT: Tensor, scale: Tensor, rowStats: Tensor]

/** Exported for its test. */
export const supConOp: Op<SupConInputs, SupConOutputs, Attrs> = {
  name: 'supCon',
  accepts: ['f32', 'f32', 'index'],

  shape({ temperature }, z1, z2, labels) {
    const { N } = pairsOf('supCon', temperature, z1, z2, false)
    if (labels.length !== 1 || labels[0] !== N)
      throw new ShapeError(`supCon: needs one label per image, got ${show(labels)} for ${show(z1)}`)
    return []
  },

  forward(run, { temperature, normalized }, z1, z2, labels) {
    const pairs = pairsOf('supCon', temperature, z1.shape, z2.shape, false)
    const { N, view } = pairs
    const unit = unitRows(run, z1, z2, pairs, normalized)
    const classes = asIntegers(run, labels)
    const bound = { reads: [classes], planes: 3 }
    const partial = runStatistics(run, logSumExpKernel, pairs, unit, bound)
    const [rowStats] = run(rowsKernel, {
      reads: [partial, classes],
      makes: [[3, 2 * view]],
      params: { N, view, blocks: dim(partial.shape, 1), noIndex: NO_INDEX, nan: NaN },
      groups: elementwise(2 * view),
    })
    return [meanOfRows(run, rowStats, pairs), unit.z, unit.zT, unit.scale, rowStats]
  },

  backward(
    run,
    { temperature, normalized },
    [dloss],
    [z1, z2, labels],
    [, z, zT, scale, rowStats],
  ) {
    const pairs = pairsOf('supCon', temperature, z1.shape, z2.shape, false)
    const reads = [rowStats, asIntegers(run, labels)]
    const factor = derive(temperature, (T) => 1 / (2 * pairs.N * T))
    return [
      ...pairsBackward(
        run,
        gradientKernel,
        pairs,
        { z, zT, scale },
        { reads, dloss, factor, normalized },
      ),
      null,
    ]
  },
}

const applySupCon = op(supConOp, 'z1', 'z2', 'labels')

/** The supervised contrastive loss of two views z1 [N, D] and z2 [N, D] of images with labels [N]
 *  -> [], at a temperature above 0, which gets a gradient if it is a tensor [], without the factor
 *  T / T_base of its authors' code. Labels get no gradient. Rows are normalised inside unless `normalized`. An image with the label -1 is a
 *  class of its own. Equals NT-Xent when all labels differ, log(2N - 1) when all rows are equal. A
 *  label in an f32 tensor that is not whole, or beyond 2^31, makes the loss NaN; in an array it
 *  throws RangeError. Throws ShapeError, RangeError. */
export function supCon(
  z1: Tensor,
  z2: Tensor,
  labels: Indices,
  temperature: Temperature,
  options: Unit = {},
) {
  const normalized = isUnit('supCon', options)
  checkTensor('supCon', 'z1', z1)
  checkIndices('supCon', 'labels', labels)
  const classes = isIndexTensor(labels) ? labels : z1.gpu.tensor(wholeLabels(labels))
  return atTemperature({ name: 'supCon', temperature, normalized }, [z1, z2], (attrs, a, b) =>
    applySupCon(attrs, a, b, classes),
  )
}

function wholeLabels(labels: Exclude<Indices, Tensor>): Int32Array {
  const list = Array.from(flatNumbers('supCon: labels', labels))
  for (const [n, label] of list.entries())
    if (!Number.isInteger(label) || Math.abs(label) >= 2 ** 31)
      throw new RangeError(
        `supCon: labels must be whole numbers between -2^31 and 2^31, got ${label} at ${n}`,
      )
  return Int32Array.from(list)
}
