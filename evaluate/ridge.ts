// The ridge classifier: least squares against one-hot labels, solved in closed form. It takes one
// solution of a linear system, where logistic regression takes many passes.

import { CholeskyDecomposition, Matrix } from 'ml-matrix'
import { ShapeError } from '../kernels/op.ts'
import { checkOptions, count, needed, number } from '../kernels/options.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'
import type { Embeddings } from './embed.ts'
import { classLabels } from './labels.ts'
import { gram, meanOf } from './measure/gram.ts'
import { type FeatureRows, checkFinite, hostRows } from './slabs.ts'

/** Options of `ridgeClassifier`. */
export interface RidgeOptions {
  /** Number of classes C: labels are whole numbers below it. */
  readonly classes: number
  /** Strength of regularisation, above 0. */
  readonly alpha: number
}

/** A fitted ridge classifier. */
export interface Ridge {
  /** [C, D] */
  readonly weight: Float64Array
  /** [C] */
  readonly bias: Float64Array
  /** Computes the scores [N, C] of features [N, D]. Throws ShapeError for another D. */
  readonly scores: (features: FeatureRows) => Float64Array
}

const rules = { classes: needed(count), alpha: needed(number) }

/** Minimises |X Wᵀ + b - Y|² + alpha |W|² over features X [M, D] and one-hot labels Y [M, C], in
 *  float64 on the CPU: W = (Xcᵀ Xc + alpha)⁻¹ Xcᵀ Yc of centred X and Y, as scikit-learn's Ridge.
 *  Throws ShapeError, RangeError for labels and alpha out of range, and Error for features that are
 *  not finite. */
export function ridgeClassifier(
  features: FeatureRows,
  labels: IndexList,
  options: RidgeOptions,
): Ridge {
  const { classes, alpha } = checkOptions('ridgeClassifier', options, rules)
  if (!(alpha > 0 && Number.isFinite(alpha)))
    throw new RangeError(`ridgeClassifier: alpha must be a finite number above 0, got ${alpha}`)
  const rows = hostRows('ridgeClassifier', 'features', features)
  checkFinite('ridgeClassifier', rows.features)
  const truth = classLabels('ridgeClassifier', labels, { classes, count: rows.M })
  const [mean, shares] = [meanOf(rows), sharesOf(truth, classes)]
  const weight = solve(rows, truth, { mean, shares, alpha })
  const bias = shares.map((share, c) => share - product(weight, c * rows.D, mean, 0, rows.D))
  return { weight, bias, scores: (given) => scoresOf(given, weight, bias) }
}

/** The share of each class [C]. */
function sharesOf(truth: Int32Array, C: number): Float64Array {
  const shares = new Float64Array(C)
  for (const label of truth) shares[label] = (shares[label] ?? 0) + 1 / truth.length
  return shares
}

interface System {
  readonly mean: Float64Array
  readonly shares: Float64Array
  readonly alpha: number
}

/** Solves for the weights [C, D]. With more features than samples, in the space of samples:
 *  W = Xcᵀ (Xc Xcᵀ + alpha)⁻¹ Yc. */
function solve(rows: Embeddings, truth: Int32Array, { mean, shares, alpha }: System) {
  const { features, M, D } = rows
  const C = shares.length
  const centred = (m: number, d: number) => (features[m * D + d] ?? NaN) - (mean[d] ?? 0)
  const target = (m: number, c: number) => Number(truth[m] === c) - (shares[c] ?? 0)
  const system = gram(rows, mean).add(Matrix.eye(Math.min(M, D)).mul(alpha))
  const right = Matrix.zeros(Math.min(M, D), C)
  if (D <= M)
    each(M, D, (m, d) => {
      for (let c = 0; c < C; c++) right.set(d, c, right.get(d, c) + centred(m, d) * target(m, c))
    })
  else each(M, C, (m, c) => right.set(m, c, target(m, c)))
  const solution = new CholeskyDecomposition(system).solve(right)
  const weight = new Float64Array(C * D)
  if (D <= M) each(C, D, (c, d) => (weight[c * D + d] = solution.get(d, c)))
  else
    each(M, D, (m, d) => {
      for (let c = 0; c < C; c++)
        weight[c * D + d] = (weight[c * D + d] ?? 0) + centred(m, d) * solution.get(m, c)
    })
  return weight
}

function each(rows: number, columns: number, visit: (row: number, column: number) => void) {
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) visit(i, j)
}

function scoresOf(given: FeatureRows, weight: Float64Array, bias: Float64Array): Float64Array {
  const C = bias.length
  const D = weight.length / C
  const { features, M, D: width } = hostRows('Ridge.scores', 'features', given)
  if (width !== D)
    throw new ShapeError(`Ridge.scores: features must be [N, ${D}], got [${M}, ${width}]`)
  return Float64Array.from({ length: M * C }, (_, i) => {
    const c = i % C
    return product(weight, c * D, features, ((i - c) / C) * D, D) + (bias[c] ?? 0)
  })
}

/** The dot product of D numbers of a, from i on, with those of b from j on. */
function product(a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, D: number) {
  let sum = 0
  for (let d = 0; d < D; d++) sum += (a[i + d] ?? NaN) * (b[j + d] ?? NaN)
  return sum
}
