// The variance over some axes, in two passes, so that a large mean costs no digits.

import { type Op, type Run, type Tensor, ShapeError, op, show, wgsl } from '../op.ts'
import { checkOptions, flag, whole } from '../options.ts'
import { binaryKernel } from '../elementwise/binary.ts'
import { scaled } from '../wgsl/affine.ts'
import { type Axes, type KeepDims, reducedShape } from '../wgsl/axes.ts'
import { combine } from '../wgsl/broadcast.ts'
import { reduction, sumAxes } from '../wgsl/reduce.ts'

/** Options of `variance`. */
export interface VarianceOptions extends KeepDims {
  /** What is taken from the number of elements before the sum of squares is divided by it; 1 by
   *  default, as in PyTorch. 0 gives the mean square. */
  readonly correction?: number
}

interface Attrs {
  readonly axes: Axes
  readonly keepDims: boolean
  readonly correction: number
}

const squares = binaryKernel(
  'varianceSquares',
  wgsl`square(a[indexA(i)] - b[indexB(i)])`,
  wgsl`
  fn square(v: f32) -> f32 { return v * v; }
`,
)
const deviations = binaryKernel('varianceDeviations', wgsl`a[indexA(i)] - b[indexB(i)]`)
const products = binaryKernel('varianceBackward', wgsl`a[indexA(i)] * b[indexB(i)]`)

const meanOf = (run: Run, x: Tensor, over: readonly number[], count: number) =>
  sumAxes(run, x, over, 1 / count)

const varianceOp: Op<[x: Tensor], [y: Tensor, mean: Tensor], Attrs> = {
  name: 'variance',
  shape({ axes, keepDims, correction }, x) {
    const { over, count } = reduction('variance', x, axes)
    if (count <= correction)
      throw new ShapeError(
        `variance: needs more than ${correction} elements, as correction says, got ${count} in ${show(x)}`,
      )
    return reducedShape(x, over, keepDims)
  },
  forward(run, { axes, keepDims, correction }, x) {
    const { over, count } = reduction('variance', x.shape, axes)
    const mean = meanOf(run, x, over, count)
    const y = sumAxes(run, combine(run, squares, x, mean), over, 1 / (count - correction))
    return [run.view(y, reducedShape(x.shape, over, keepDims)), mean]
  },
  backward(run, { axes, correction }, [dy], [x], [, mean]) {
    const { kept, count } = reduction('variance', x.shape, axes)
    const factor = scaled(run, run.view(dy, kept), 2 / (count - correction))
    return [combine(run, products, combine(run, deviations, x, mean), factor)]
  },
}

const apply = op(varianceOp)

/** The variance of x over `axes` (all by default; negative ones count from the end), added up in a
 *  fixed order; unbiased as in PyTorch's `var` unless `correction` is 0. Reduced axes are removed
 *  unless `keepDims`. Throws ShapeError for an axis that x does not have and for too few
 *  elements. */
export function variance(x: Tensor, axes?: Axes, options: VarianceOptions = {}): Tensor {
  const rules = { keepDims: flag, correction: whole }
  const { keepDims = false, correction = 1 } = checkOptions('variance', options, rules)
  return apply({ axes, keepDims, correction }, x)
}
