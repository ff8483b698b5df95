// Supervised contrastive learning (Khosla et al. 2020, https://arxiv.org/abs/2004.11362, Eq. 2,
// L_out): every row of an image's class is a positive.
//
//   loss = 1/R Σ_i (logsumexp_{a≠i} s_ia - 1/|P(i)| Σ_{p in P(i)} s_ip)
//   P(i) = the other rows with i's label
//   G_ij = P_ij + P_ji - (2/|P(i)| where the labels agree),  P_ij = exp(s_ij - logsumexp_i)
//
// R rows are two views of N images, or rows of any kind. An image without a label, -1, is a class
// of its own. A row without positives has no loss, as in the authors' code; others compare with it.

import {
  type Op,
  type Run,
  type Scalar,
  type Tensor,
  ShapeError,
  derive,
  dim,
  elementwise,
  op,
  show,
} from '../op.ts'
import { type Indices, NO_INDEX, asIntegers, checkIndices, isIndexTensor } from '../wgsl/indices.ts'
import { flatNumbers } from '../numbers.ts'
import { checkTensor, isTensor } from '../options.ts'
import { pairsBackward } from '../similarity/pairs-backward.ts'
import { runStatistics } from '../similarity/row-statistics.ts'
import {
  type Pairs,
  type Unit,
  isUnit,
  pairsOf,
  rowsOf,
  setOf,
  unitRows,
} from '../similarity/pairs.ts'
import { meanOfRows } from './ntxent.ts'
import { supConGradient, supConRows, supConStatistics } from './supcon-kernels.ts'
import { type Temperature, atTemperature } from './temperature.ts'

interface Attrs {
  readonly temperature: Scalar
  readonly normalized: boolean
}

type Outputs = [loss: Tensor, z: Tensor, zT: Tensor, scale: Tensor, rowStats: Tensor]

function checkLabels(
  labels: readonly number[],
  pairs: Pairs,
  z: readonly number[],
): readonly number[] {
  if (labels.length !== 1 || labels[0] !== pairs.N)
    throw new ShapeError(
      `supCon: needs one label per ${pairs.views === 2 ? 'image' : 'row'}, got ${show(labels)} for ${show(z)}`,
    )
  return []
}

/** The loss of one view or two; z1 stands for both where there is one. */
function forward(
  run: Run,
  normalized: boolean,
  pairs: Pairs,
  [z1, z2, labels]: readonly [Tensor, Tensor, Tensor],
): Outputs {
  const { N, view, views } = pairs
  const unit = unitRows(run, z1, z2, pairs, normalized)
  const classes = asIntegers(run, labels)
  const partial = runStatistics(run, supConStatistics, pairs, unit, { reads: [classes], planes: 3 })
  const [rowStats] = run(supConRows, {
    reads: [partial, classes],
    makes: [[3, rowsOf(pairs)]],
    params: { N, view, views, blocks: dim(partial.shape, 1), noIndex: NO_INDEX, nan: NaN },
    groups: elementwise(rowsOf(pairs)),
  })
  return [meanOfRows(run, rowStats, pairs), unit.z, unit.zT, unit.scale, rowStats]
}

/** The gradients of z1 and z2. */
function backward(
  run: Run,
  { temperature, normalized }: Attrs,
  pairs: Pairs,
  dloss: Tensor,
  labels: Tensor,
  [, z, zT, scale, rowStats]: Readonly<Outputs>,
) {
  const reads = [rowStats, asIntegers(run, labels)]
  const factor = derive(temperature, (T) => 1 / (pairs.views * pairs.N * T))
  const how = { reads, dloss, factor, normalized }
  return pairsBackward(run, supConGradient, pairs, { z, zT, scale }, how)
}

/** Exported for its test. */
export const supConOp: Op<[z1: Tensor, z2: Tensor, labels: Tensor], Outputs, Attrs> = {
  name: 'supCon',
  accepts: ['f32', 'f32', 'index'],

  shape: ({ temperature }, z1, z2, labels) =>
    checkLabels(labels, pairsOf('supCon', temperature, z1, z2, false), z1),

  forward(run, { temperature, normalized }, z1, z2, labels) {
    const pairs = pairsOf('supCon', temperature, z1.shape, z2.shape, false)
    return forward(run, normalized, pairs, [z1, z2, labels])
  },

  backward(run, attrs, [dloss], [z1, z2, labels], outputs) {
    const pairs = pairsOf('supCon', attrs.temperature, z1.shape, z2.shape, false)
    return [...backward(run, attrs, pairs, dloss, labels, outputs), null]
  },
}

/** The loss of one set of rows. Exported for its test. */
export const supConOfRows: Op<[z: Tensor, labels: Tensor], Outputs, Attrs> = {
  name: 'supCon',
  accepts: ['f32', 'index'],

  shape: ({ temperature }, z, labels) => checkLabels(labels, setOf('supCon', temperature, z), z),

  forward: (run, { temperature, normalized }, z, labels) =>
    forward(run, normalized, setOf('supCon', temperature, z.shape), [z, z, labels]),

  backward(run, attrs, [dloss], [z, labels], outputs) {
    const pairs = setOf('supCon', attrs.temperature, z.shape)
    return [backward(run, attrs, pairs, dloss, labels, outputs)[0], null]
  },
}

const applyToViews = op(supConOp, 'z1', 'z2', 'labels')
const applyToRows = op(supConOfRows, 'z', 'labels')

/** The supervised contrastive loss -> [], at a temperature above 0, which gets a gradient if it is
 *  a tensor []; without the factor T / T_base of its authors' code. It takes rows z [M, D] of any
 *  number of views, each with its label [M], or two views z1 and z2 [N, D] of N images with labels
 *  [N]. Labels get no gradient. Rows are normalised inside unless `normalized`.
 *
 *  The label -1 is a class of its own: of the row, or of an image's two views. A row that has no
 *  other of its class adds 0 to the mean. Two views equal NT-Xent when all labels differ. Equal
 *  rows of one class give log(M - 1). A label in an f32 tensor that is not whole, or beyond 2^31,
 *  makes the loss NaN; in an array it throws RangeError. Throws ShapeError, RangeError. */
export function supCon(z: Tensor, labels: Indices, temperature: Temperature, options?: Unit): Tensor
export function supCon(
  z1: Tensor,
  z2: Tensor,
  labels: Indices,
  temperature: Temperature,
  options?: Unit,
): Tensor
export function supCon(z1: Tensor, ...given: readonly unknown[]): Tensor {
  const [second, third] = given
  const isPair = (isTensor(second) && second.shape.length === 2) || hasAxis(third)
  return isPair
    ? ofViews(z1, ...(given as [Tensor, Indices, Temperature, Unit?]))
    : ofRows(z1, ...(given as [Indices, Temperature, Unit?]))
}

/** Whether an argument may be labels, and is no temperature. */
const hasAxis = (v: unknown) =>
  Array.isArray(v) || ArrayBuffer.isView(v) || (isTensor(v) && v.shape.length === 1)

function ofViews(
  z1: Tensor,
  z2: Tensor,
  labels: Indices,
  temperature: Temperature,
  options: Unit = {},
) {
  const normalized = isUnit('supCon', options)
  checkTensor('supCon', 'z1', z1)
  const classes = classesOf(z1, labels)
  return atTemperature({ name: 'supCon', temperature, normalized }, [z1, z2], (attrs, a, b) =>
    applyToViews(attrs, a, b, classes),
  )
}

function ofRows(z: Tensor, labels: Indices, temperature: Temperature, options: Unit = {}) {
  const normalized = isUnit('supCon', options)
  checkTensor('supCon', 'z', z)
  const classes = classesOf(z, labels)
  return atTemperature({ name: 'supCon', temperature, normalized }, [z, z], (attrs, a) =>
    applyToRows(attrs, a, classes),
  )
}

function classesOf(z: Tensor, labels: Indices): Tensor {
  checkIndices('supCon', 'labels', labels)
  return isIndexTensor(labels) ? labels : z.gpu.tensor(wholeLabels(labels))
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
