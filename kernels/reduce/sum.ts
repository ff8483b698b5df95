import { type Op, type Tensor, op } from '../op.ts'
import { type Axes, type KeepDims, reducedShape, keepsDims } from '../wgsl/axes.ts'
import { reduction, sumAxes } from '../wgsl/reduce.ts'
import { spread } from '../wgsl/strided.ts'

interface Attrs extends KeepDims {
  readonly axes: Axes
}

const sumOp: Op<[x: Tensor], [y: Tensor], Attrs> = {
  name: 'sum',
  shape: ({ axes, keepDims }, x) => reducedShape(x, reduction('sum', x, axes).over, keepDims),
  forward(run, { axes, keepDims }, x) {
    const { over } = reduction('sum', x.shape, axes)
    return [run.view(sumAxes(run, x, over), reducedShape(x.shape, over, keepDims))]
  },
  backward(run, { axes }, [dy], [x]) {
    const { kept } = reduction('sum', x.shape, axes)
    return [spread(run, run.view(dy, kept), x.shape)]
  },
}

const applySum = op(sumOp)

/** The sum of x over `axes` (all by default; negative ones count from the end), added up in a fixed
 *  order. Reduced axes are removed unless `keepDims`. Throws ShapeError. */
export const sum = (x: Tensor, axes?: Axes, options: KeepDims = {}) =>
  applySum({ axes, keepDims: keepsDims('sum', options) }, x)
