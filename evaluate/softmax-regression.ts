// Multinomial logistic regression to convergence: a linear classifier that depends on no learning
// rate and no number of epochs. The GPU computes values and gradients; the CPU solves by L-BFGS.

import { abortable, unlessAborted } from '../kernels/abort.ts'
import { type Tensor, ShapeError } from '../kernels/op.ts'
import { affine } from '../kernels/wgsl/affine.ts'
import { concat } from '../kernels/shape/concat.ts'
import {
  checkOptions,
  count,
  having,
  needed,
  notNegative,
  number,
  whole,
} from '../kernels/options.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'
import { crossEntropy } from '../kernels/loss/cross-entropy.ts'
import { linear } from '../kernels/matmul/linear.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import type { Gpu } from '../engine/gpu.ts'
import { checkGpu } from '../models/model.ts'
import type { Embeddings } from './embed.ts'
import { classLabels } from './labels.ts'
import { type MinimiseOptions, type Point, minimise } from './minimise.ts'
import { type Regression, checkWidth, regressionRule } from './regression.ts'
import { type FeatureRows, checkClasses, hostRows, slabRows, slabsOf } from './slabs.ts'
import { type Scaling, asGiven, standardised } from './standardise.ts'

const RESIDENT = 512 * 2 ** 20 // bytes of features kept on the GPU; others are uploaded at each use

/** Options of `SoftmaxRegression` and its `fit`. */
export interface RegressionOptions extends Omit<MinimiseOptions, 'tolerance'> {
  /** Largest entry of the gradient at which the fit is done; by default a thousandth of lambda,
   *  from 1e-6 to 1e-5. */
  readonly tolerance?: number
  /** Number of classes: labels are whole numbers below it. */
  readonly classes: number
  /** Strength of regularisation: mean cross entropy + lambda / 2 |weight|² is minimised. Biases are
   *  not regularised. scikit-learn's C is 1 / (lambda M). */
  readonly lambda: number
  /** Standardisation of the features before the fit; none by default. */
  readonly scaling?: Scaling
  /** Fit to start from; zeros by default. */
  readonly start?: Regression
}

/** The tolerance for a strength of regularisation, by which the weights' distance from the minimum
 *  is bounded: |gradient| / lambda. At least what sums in float32 allow. */
const usual = (lambda: number) => Math.min(1e-5, Math.max(1e-6, lambda / 1000))

const scalingRule = having('means and deviations, { mean, deviation }', 'mean', 'deviation')

const rules = { classes: needed(count), scaling: scalingRule }

const fitRules = {
  ...{ lambda: needed(number), start: regressionRule, tolerance: notNegative, iterations: whole },
  ...abortable,
}

/** Multinomial logistic regression of a set of features, of any size, for fits with several
 *  strengths. Features go to the GPU slab by slab; up to 512 MiB stay there. */
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

  /** Takes features [M, D] in an array of any kind and labels [M]. Throws TypeError for wrong
   *  options, ShapeError when sizes differ, and RangeError for labels out of range, numbers beyond
   *  f32 and too many classes for the device. */
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
    this.#labels = classLabels('SoftmaxRegression', labels, { classes, count: rows.M })
    this.#classes = classes
    this.#scaling = scaling ?? asGiven(rows.D)
    this.#slabs = this.#laidOut()
  }

  /** Finds the minimum for `lambda`. Throws RangeError unless `lambda` is finite and above 0,
   *  ShapeError for a `start` of another size, and Error when features are not finite. Rejects
   *  with the signal's reason at once when it is aborted. */
  async fit(options: Omit<RegressionOptions, 'classes' | 'scaling'>): Promise<Regression> {
    const {
      lambda,
      start,
      signal,
      tolerance = usual(lambda),
      ...more
    } = checkOptions('SoftmaxRegression.fit', options, fitRules)
    if (!(lambda > 0 && Number.isFinite(lambda)))
      throw new RangeError(
        `SoftmaxRegression: lambda must be a finite number above 0, got ${lambda}`,
      )
    const [C, D] = [this.#classes, this.#rows.D]
    if (start) checkStart(start, C, D)
    const from = new Float64Array(C * (D + 1))
    if (start) from.set(start.weight)
    if (start) from.set(start.bias, C * D)
    const objective = (x: Float64Array) => this.#objective(x, lambda, signal)
    const until = { ...more, tolerance }
    const { x, value, iterations, slope } = await minimise(objective, from, until)
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
      converged: slope <= tolerance,
    }
  }

  /** Divides the features into slabs. Uploads the first ones, up to the limit. */
  #laidOut() {
    const { M, D } = this.#rows
    const gpu = this.#gpu
    let left = RESIDENT
    return slabsOf(M, slabRows(gpu, Math.max(D, this.#classes))).map(([start, end]) => {
      const upload = () =>
        gpu.noGrad(() => {
          const values = standardised(this.#rows, this.#scaling, [start, end])
          return affine(gpu.tensor(values, [end - start, D]), 1, 0) // a constant, no gradient
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

  async #objective(
    x: Float64Array,
    lambda: number,
    signal: AbortSignal | undefined,
  ): Promise<Point> {
    const gpu = this.#gpu
    const [C, D] = [this.#classes, this.#rows.D]
    const [weight, bias] = [
      Float32Array.from(x.subarray(0, C * D)),
      Float32Array.from(x.subarray(C * D)),
    ]
    let value = (lambda / 2) * squared(x.subarray(0, C * D))
    const gradient = x.map((v, i) => (i < C * D ? lambda * v : 0))
    for (const slab of this.#slabs) {
      signal?.throwIfAborted()
      const made = gpu.step(() => {
        const [w, b] = [gpu.tensor(weight, [C, D]), gpu.tensor(bias, [C])]
        const loss = crossEntropy(linear(slab.x(), w, b), slab.y)
        const gradients = gpu.backward(loss)
        const parts = [gradients.of(w) ?? w, gradients.of(b) ?? b, loss].map((t) =>
          reshape(t, [-1]),
        )
        return concat(parts, 0) // so that one read is enough
      })
      const read = await unlessAborted(signal, gpu.read(made))
      value += slab.share * (read.at(-1) ?? NaN)
      for (let i = 0; i < x.length; i++)
        gradient[i] = (gradient[i] ?? 0) + slab.share * (read[i] ?? NaN)
    }
    return { value, gradient }
  }
}

function checkStart({ weight, bias }: Regression, C: number, D: number) {
  if (weight.length !== C * D || bias.length !== C)
    throw new ShapeError(
      `SoftmaxRegression.fit: start must have weights [classes, D] = [${C}, ${D}], got ${weight.length} weights and ${bias.length} biases`,
    )
}

const squared = (x: Float64Array) => x.reduce((sum, v) => sum + v * v, 0)
