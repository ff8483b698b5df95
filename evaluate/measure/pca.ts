// Principal component analysis: the few directions along which features vary most, for maps.

import { EVD, Matrix } from 'ml-matrix'
import { checkOptions, count } from '../../kernels/options.ts'
import { threefry2x32 } from '../../kernels/wgsl/threefry.ts'
import type { Embeddings } from '../embed.ts'
import { type FeatureRows, checkFinite, hostRows } from '../slabs.ts'
import { gram, meanOf } from './gram.ts'

const EXTRA = 8 // vectors that are iterated beside the components, so that these converge fast
const ROUNDS = 500
const SMALL = 1e-13 // relative change of the components' variances at which they have converged

/** Options of `pca`. */
export interface PcaOptions {
  /** Number of components K; 2 by default. At most min(M, D). */
  readonly components?: number
}

/** The principal components of features [M, D]. */
export interface Pca {
  /** [D] */
  readonly mean: Float64Array
  /** [K, D], unit rows, the one of largest variance first. The entry of largest size in each is
   *  positive. */
  readonly components: Float64Array
  /** [K], the variance along each, over M - 1. */
  readonly explainedVariance: Float64Array
  /** [K], its share of the variance of all features. */
  readonly explainedVarianceRatio: Float64Array
  /** [M, K], the features less their mean, along the components. */
  readonly coordinates: Float64Array
}

/** Computes the components in float64 on the CPU by subspace iteration (Halko, Martinsson and Tropp
 *  2011, https://arxiv.org/abs/0909.4061). Throws RangeError for too many components or fewer than
 *  two features, ShapeError, and Error for features that are not finite. */
export function pca(given: FeatureRows, options: PcaOptions = {}): Pca {
  const { components: K = 2 } = checkOptions('pca', options, { components: count })
  const rows = hostRows('pca', 'features', given)
  const { features, M, D } = rows
  if (M < 2) throw new RangeError(`pca: needs at least 2 features, got ${M}`)
  if (K > Math.min(M, D))
    throw new RangeError(`pca: components must be at most min(M, D) = ${Math.min(M, D)}, got ${K}`)
  checkFinite('pca', features)
  const mean = meanOf(rows)
  const products = gram(rows, mean)
  const { vectors, values } = leading(products, K)
  const components = new Float64Array(K * D)
  for (let k = 0; k < K; k++) components.set(direction(rows, mean, vectors.getColumn(k)), k * D)
  return {
    mean,
    components,
    explainedVariance: values.map((value) => value / (M - 1)),
    explainedVarianceRatio: values.map((value) => share(value, products.trace())),
    coordinates: along(rows, mean, components),
  }
}

const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole)

/** The K eigenvectors [size, K] of a symmetric matrix with the largest eigenvalues [K]. */
function leading(products: Matrix, K: number) {
  const size = products.rows
  const width = Math.min(size, K + EXTRA)
  let basis = orthonormal(
    Matrix.from1DArray(
      size,
      width,
      Array.from(
        { length: size * width },
        (_, i) => threefry2x32([0, 0], [i, 0])[0] / 2 ** 32 - 0.5,
      ),
    ),
  )
  let values = new Float64Array(K)
  for (let round = 0; round < ROUNDS; round++) {
    const moved = products.mmul(basis)
    const ritz = new EVD(basis.transpose().mmul(moved), { assumeSymmetric: true })
    const order = ritz.realEigenvalues
      .map((value, i) => ({ value, i }))
      .sort((a, b) => b.value - a.value)
    const vectors = ritz.eigenvectorMatrix.subMatrixColumn(order.map(({ i }) => i))
    const before = values
    values = Float64Array.from(order.slice(0, K), ({ value }) => Math.max(0, value))
    const change = values.reduce((most, v, k) => Math.max(most, Math.abs(v - (before[k] ?? 0))), 0)
    if (width === size || change <= SMALL * (values[0] ?? 0))
      return { vectors: basis.mmul(vectors), values }
    basis = orthonormal(moved.mmul(vectors))
  }
  return { vectors: basis, values }
}

/** Columns that span the same space and are orthonormal, by modified Gram-Schmidt, done twice. */
function orthonormal(matrix: Matrix): Matrix {
  const columns = Array.from({ length: matrix.columns }, (_, j) => matrix.getColumn(j))
  for (const pass of [0, 1])
    for (const [j, column] of columns.entries()) {
      for (const before of columns.slice(0, j)) {
        const part = dot(before, column)
        for (let i = 0; i < column.length; i++)
          column[i] = (column[i] ?? 0) - part * (before[i] ?? 0)
      }
      const length = Math.sqrt(dot(column, column))
      const least = pass === 0 ? 0 : 0.5 // after the first pass lengths are 1, or rounding
      for (let i = 0; i < column.length; i++)
        column[i] = length > least ? (column[i] ?? 0) / length : 0
    }
  return new Matrix(columns).transpose()
}

const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, v, i) => sum + v * (b[i] ?? 0), 0)

/** An eigenvector of Xᵀ X [D] as a unit component, or of X Xᵀ [M] brought to features. */
function direction({ features, M, D }: Embeddings, mean: Float64Array, vector: number[]) {
  const component = new Float64Array(D)
  if (D <= M) component.set(vector)
  else
    for (let i = 0; i < M * D; i++) {
      const offset = (features[i] ?? NaN) - (mean[i % D] ?? 0)
      component[i % D] = (component[i % D] ?? 0) + offset * (vector[Math.floor(i / D)] ?? 0)
    }
  const length = Math.sqrt(component.reduce((sum, v) => sum + v * v, 0))
  const top = component.reduce((most, v) => (Math.abs(v) > Math.abs(most) ? v : most), 0)
  return component.map((v) => (length === 0 ? 0 : (v / length) * Math.sign(top)))
}

/** Features less their mean, along each component: [M, K]. */
function along({ features, M, D }: Embeddings, mean: Float64Array, components: Float64Array) {
  const K = components.length / D
  const coordinates = new Float64Array(M * K)
  for (let m = 0; m < M; m++)
    for (let k = 0; k < K; k++) {
      let sum = 0
      for (let d = 0; d < D; d++)
        sum += ((features[m * D + d] ?? NaN) - (mean[d] ?? 0)) * (components[k * D + d] ?? 0)
      coordinates[m * K + k] = sum
    }
  return coordinates
}
