// A fitted multinomial logistic regression, and what it says of features.

import { type Abortable, abortable, unlessAborted } from '../kernels/abort.ts'
import { ShapeError, dim } from '../kernels/op.ts'
import { checkOptions, checkValue, count, having } from '../kernels/options.ts'
import { flatNumbers } from '../kernels/numbers.ts'
import { linear } from '../kernels/matmul/linear.ts'
import type { Gpu } from '../engine/gpu.ts'
import { checkGpu } from '../models/model.ts'
import type { Embeddings } from './embed.ts'
import { type FeatureRows, hostRows, slabRows, slabsOf } from './slabs.ts'
import { type Scaling, standardised } from './standardise.ts'

/** A fitted linear classifier: scores = weight ((x - mean) / deviation) + bias. */
export interface Regression {
  /** [classes, D], for features standardised by `scaling`. */
  readonly weight: Float64Array
  /** [classes] */
  readonly bias: Float64Array
  /** The standardisation: mean 0 and deviation 1 everywhere if there is none. */
  readonly scaling: Scaling
  /** Number of classes. */
  readonly classes: number
  /** The minimum: mean cross entropy + lambda / 2 |weight|². */
  readonly objective: number
  /** The mean cross entropy in it. */
  readonly crossEntropy: number
  /** Iterations of L-BFGS. */
  readonly iterations: number
  /** False when the solver ended before it reached its tolerance. */
  readonly converged: boolean
}

/** Rule of an option that must be a fitted regression. */
export const regressionRule = having('a fitted regression', 'weight', 'bias', 'scaling', 'classes')

/** Computes the scores [N, classes] of features [N, D] by a regression, in row-major order. Throws
 *  ShapeError. Rejects with the signal's reason at once when it is aborted. */
export async function scoresOf(
  gpu: Gpu,
  given: FeatureRows,
  by: Regression,
  options: Abortable = {},
): Promise<Float32Array> {
  const { signal } = checkOptions('scoresOf', options, abortable)
  checkGpu('scoresOf', gpu)
  const rows = hostRows('scoresOf', 'features', given)
  checkValue('scoresOf', 'by', by, regressionRule)
  checkWidth('scoresOf', rows, by.scaling.mean.length, 'the regression')
  const { classes: C } = by
  const scores = new Float32Array(rows.M * C)
  for (const [start, end] of slabsOf(rows.M, slabRows(gpu, Math.max(rows.D, C)))) {
    signal?.throwIfAborted()
    const y = gpu.step(() => {
      const x = gpu.tensor(standardised(rows, by.scaling, [start, end]), [end - start, rows.D])
      const w = gpu.tensor(Float32Array.from(by.weight), [C, rows.D])
      return gpu.noGrad(() => linear(x, w, gpu.tensor(Float32Array.from(by.bias), [C])))
    })
    scores.set(await unlessAborted(signal, gpu.read(y)), start * dim(y.shape, 1))
  }
  return scores
}

/** Returns the class [N] with the largest score in each row of [N, classes], the lowest of equals.
 *  Throws ShapeError for scores that are not whole rows, and Error for NaN. */
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

/** Throws ShapeError, whose message begins with `owner`, unless features [M, D] have this width. */
export function checkWidth(owner: string, { M, D }: Embeddings, width: number, what: string) {
  if (D !== width)
    throw new ShapeError(
      `${owner}: features [M, D] must have the D of ${what}, ${width}, got [${M}, ${D}]`,
    )
}
