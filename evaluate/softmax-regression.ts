// Multinomial logistic regression to convergence: a linear classifier with one answer, which no
// learning rate and no number of epochs changes. Its products are the GPU's, its solver (L-BFGS)
// the CPU's.

import { type Tensor, ShapeError, dim } from '../kernels/op.ts'
import { affine } from '../kernels/wgsl/affine.ts'
import { concat } from '../kernels/shape/concat.ts'
import {
  checkOptions,
  checkValue,
  count,
  having,
  needed,
  notNegative,
  number,
  whole,
} from '../kernels/options.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'
import { flatNumbers } from '../kernels/numbers.ts'
import { crossEntropy } from '../kernels/loss/cross-entropy.ts'
import { linear } from '../kernels/matmul/linear.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import type { Gpu } from '../engine/gpu.ts'
import { checkGpu } from '../models/layers.ts'
import type { Embeddings } from './embed.ts'
import { type MinimiseOptions, type Point, minimise } from './minimise.ts'
import { type FeatureRows, checkClasses, hostRows, slabRows, slabsOf } from './slabs.ts'
import { type Scaling, asGiven, standardised } from './standardise.ts'

const RESIDENT = 512 * 2 ** 20 // bytes of features that stay on the GPU; the others are uploaded whenever they are wanted

export interface RegressionOptions extends MinimiseOptions {
  readonly classes: number
  /** Strength of regularisation: lambda / 2 times the sum of squared weights is added to the mean
   *  cross entropy; the biases are free. scikit-learn's C is 1 / (lambda M). */
  readonly lambda: number
  /** What is done to features first; nothing unless told. */
  readonly scaling?: Scaling
  /** Where to begin; all zeros unless told. */
  readonly start?: Regression
}

export interface Regression {
  /** [classes, D], of features as `scaling` makes them. */
  readonly weight: Float64Array
  /** [classes]. */
  readonly bias: Float64Array
  readonly scaling: Scaling
  readonly classes: number
  /** What was minimised, and its first part. */
  readonly objective: number
  readonly crossEntropy: number
  readonly iterations: number
  /** False where the solver ended before its tolerance. */
  readonly converged: boolean
}

const scalingRule = having('means and deviations, { mean, deviation }', 'mean', 'deviation')
const regressionRule = having('a fitted regression', 'weight', 'bias', 'scaling', 'classes')

const rules = { classes: needed(count), scaling: scalingRule }

const fitRules = {
  ...{ lambda: needed(number), start: regressionRule, tolerance: notNegative, iterations: whole },
}

/** Features of any number, slab by slab on the GPU, for fits with several lambdas. */
export class SoftmaxRegression {
  readonly #gpu: Gpu
  readonly #rows: Embeddings
  readonly #labels: Int32Array
  readonly #classes: number
  readonly #scaling: Scaling
  readonly #slabs: readonly {
    readonly x: () => Tensor
    readonly y: Tensor
    readonly share: number
  }[]

  /** Of features [M, D], in any kind of array, whose labels are [M]. Throws TypeError, ShapeError
   *  and RangeError. */
  constructor(
    gpu: Gpu,
    given: FeatureRows,
    labels: IndexList,
    options: Pick<RegressionOptions, 'classes' | 'scaling'>,
  ) {
    const { classes, scaling } = checkOptions('SoftmaxRegression', options, rules)
    checkGpu('SoftmaxRegression', gpu)
    const rows = hostRows('SoftmaxRegression', 'features', given)
    if (scaling) checkWidth('SoftmaxRegression', rows, scaling.mean.length, 'the scaling')
    checkClasses('SoftmaxRegression', gpu, classes, Math.max(1, rows.D))
    this.#gpu = gpu
    this.#rows = rows
    this.#labels = checked(labels, rows, classes)
    this.#classes = classes
    this.#scaling = scaling ?? asGiven(rows.D)
    this.#slabs = this.#laidOut()
  }

  /** The one minimum for this lambda. Throws Error where features are not finite. */
  async fit(options: Omit<RegressionOptions, 'classes' | 'scaling'>): Promise<Regression> {
    const { lambda, start, ...more } = checkOptions('SoftmaxRegression.fit', options, fitRules)
    if (!(lambda > 0 && Number.isFinite(lambda)))
      throw new RangeError(
        `SoftmaxRegression: lambda must be a finite number above 0, got ${lambda}`,
      )
    const [C, D] = [this.#classes, this.#rows.D]
    if (start) checkStart(start, C, D)
    const from = new Float64Array(C * (D + 1))
    if (start) from.set(start.weight)
    if (start) from.set(start.bias, C * D)
    const objective = (x: Float64Array) => this.#objective(x, lambda)
    const { x, value, iterations, slope } = await minimise(objective, from, more)
    if (!Number.isFinite(value))
      throw new Error('SoftmaxRegression: features are not finite; the encoder has diverged')
    const weight = x.slice(0, C * D)
    return {
      weight,
      bias: x.slice(C * D),
      scaling: this.#scaling,
      classes: C,
      objective: value,
      crossEntropy: value - (lambda / 2) * squared(weight),
      iterations,
      converged: slope <= (options.tolerance ?? 1e-5),
    }
  }

  /** The slabs, those that stay on the GPU first. */
  #laidOut() {
    const { M, D } = this.#rows
    const gpu = this.#gpu
    let left = RESIDENT
    return slabsOf(M, slabRows(gpu, Math.max(D, this.#classes))).map(([start, end]) => {
      const upload = () =>
        gpu.noGrad(() => {
          const values = standardised(this.#rows, this.#scaling, [start, end])
          return affine(gpu.tensor(values, [end - start, D]), 1, 0) // a constant, to which no gradient is computed
        })
      left -= (end - start) * D * 4
      const held = left >= 0 ? upload() : null
      return {
        x: () => held ?? upload(),
        y: gpu.tensor(this.#labels.slice(start, end), [end - start]),
        share: (end - start) / M,
      }
    })
  }

  async #objective(x: Float64Array, lambda: number): Promise<Point> {
    const gpu = this.#gpu
    const [C, D] = [this.#classes, this.#rows.D]
    const [weight, bias] = [
      Float32Array.from(x.subarray(0, C * D)),
      Float32Array.from(x.subarray(C * D)),
    ]
    let value = (lambda / 2) * squared(x.subarray(0, C * D))
    const gradient = x.map((v, i) => (i < C * D ? lambda * v : 0))
    for (const slab of this.#slabs) {
      const made = gpu.step(() => {
        const [w, b] = [gpu.tensor(weight, [C, D]), gpu.tensor(bias, [C])]
        const loss = crossEntropy(linear(slab.x(), w, b), slab.y)
        const gradients = gpu.backward(loss)
        const parts = [gradients.of(w) ?? w, gradients.of(b) ?? b, loss].map((t) =>
          reshape(t, [-1]),
        )
        return concat(parts, 0) // in one read
      })
      const read = await gpu.read(made)
      value += slab.share * (read.at(-1) ?? NaN)
      for (let i = 0; i < x.length; i++)
        gradient[i] = (gradient[i] ?? 0) + slab.share * (read[i] ?? NaN)
    }
    return { value, gradient }
  }
}

/** Scores [n, classes] of features [n, D] by a regression, in row-major order. Throws
 *  ShapeError. */
export async function scoresOf(
  gpu: Gpu,
  given: FeatureRows,
  by: Regression,
): Promise<Float32Array> {
  checkGpu('scoresOf', gpu)
  const rows = hostRows('scoresOf', 'features', given)
  checkValue('scoresOf', 'by', by, regressionRule)
  checkWidth('scoresOf', rows, by.scaling.mean.length, 'the regression')
  const { classes: C } = by
  const scores = new Float32Array(rows.M * C)
  for (const [start, end] of slabsOf(rows.M, slabRows(gpu, Math.max(rows.D, C)))) {
    const y = gpu.step(() => {
      const x = gpu.tensor(standardised(rows, by.scaling, [start, end]), [end - start, rows.D])
      const w = gpu.tensor(Float32Array.from(by.weight), [C, rows.D])
      return gpu.noGrad(() => linear(x, w, gpu.tensor(Float32Array.from(by.bias), [C])))
    })
    scores.set(await gpu.read(y), start * dim(y.shape, 1))
  }
  return scores
}

/** The class with the largest score in each row of [n, classes], the lowest of equals. Throws
 *  ShapeError for scores that are no whole rows, and Error for NaN among them. */
export function predicted(scores: ArrayLike<number>, classes: number): Int32Array {
  const values = Float32Array.from(flatNumbers('predicted: scores', scores))
  checkValue('predicted', 'classes', classes, count)
  if (values.length % classes !== 0)
    throw new ShapeError(
      `predicted: scores must be rows of ${classes}, got ${values.length} numbers`,
    )
  if (values.some(Number.isNaN))
    throw new Error('predicted: scores are not finite; the encoder has diverged')
  return Int32Array.from({ length: values.length / classes }, (_, n) => {
    const row = values.slice(n * classes, (n + 1) * classes)
    return row.indexOf(row.reduce((most, score) => Math.max(most, score)))
  })
}

function checkWidth(owner: string, { M, D }: Embeddings, width: number, what: string) {
  if (D !== width)
    throw new ShapeError(
      `${owner}: features [M, D] must have the D of ${what}, ${width}, got [${M}, ${D}]`,
    )
}

function checkStart({ weight, bias }: Regression, C: number, D: number) {
  if (weight.length !== C * D || bias.length !== C)
    throw new ShapeError(
      `SoftmaxRegression.fit: start must have weights [classes, D] = [${C}, ${D}], got ${weight.length} weights and ${bias.length} biases`,
    )
}

function checked(given: IndexList, { M }: Embeddings, classes: number): Int32Array {
  const labels = flatNumbers('SoftmaxRegression: labels', given)
  if (labels.length !== M || M === 0)
    throw new ShapeError(
      `SoftmaxRegression: there must be a feature at least and one label for each, got ${labels.length} labels for ${M}`,
    )
  for (let i = 0; i < M; i++) {
    const label = labels[i] ?? NaN
    if (!(Number.isInteger(label) && label >= 0 && label < classes))
      throw new RangeError(
        `SoftmaxRegression: labels must be whole numbers from 0 to ${classes - 1}, got ${label} at ${i}`,
      )
  }
  return Int32Array.from(labels)
}

const squared = (x: Float64Array) => x.reduce((sum, v) => sum + v * v, 0)
