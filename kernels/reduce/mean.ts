import { type Op, type Tensor, op } from '../op.ts'
import { type Axes, type KeepDims, reducedShape, keepsDims } from '../wgsl/axes.ts'
import { reduction, sumAxes } from '../wgsl/reduce.ts'
import { spread } from '../wgsl/strided.ts'

interface Attrs extends KeepDims {
  readonly axes: Axes
}

const meanOp: Op<[x: Tensor], [y: Tensor], Attrs> = {
  name: 'mean',
  shape: ({ axes, keepDims }, x) => reducedShape(x, reduction('mean', x, axes).over, keepDims),
  forward(run, { axes, keepDims }, x) {
    const { over, count } = reduction('mean', x.shape, axes)
    return [run.view(sumAxes(run, x, over, 1 / count), reducedShape(x.shape, over, keepDims))]
  },
  backward(run, { axes }, [dy], [x]) {
    const { kept, count } = reduction('mean', x.shape, axes)
    return [spread(run, run.view(dy, kept), x.shape, 1 / count)]
  },
}

const applyMean = op(meanOp)

/** The mean of x over `axes` (all by default; negative ones count from the end), added up in a
 *  fixed order. Reduced axes are removed unless `keepDims`. Throws ShapeError. */
export const mean = (x: Tensor, axes?: Axes, options: KeepDims = {}) =>
  applyMean({ axes, keepDims: keepsDims('mean', options) }, x)
