import { type Op, type Tensor, op } from '../op.ts'
import { type Axes, type KeepDims, reducedShape, keepsDims } from '../wgsl/axes.ts'
import { reduction, sumAxes } from '../wgsl/reduce.ts'
import { spread } from '../wgsl/strided.ts'

interface Attrs extends KeepDims {
  readonly axes: Axes
}

/** Makes the op `name`: the sum over some axes times `factor`, which depends on how many elements
 *  are added. Exported for the mean. */
export function sumTimes(name: string, factor: (count: number) => number) {
  const def: Op<[x: Tensor], [y: Tensor], Attrs> = {
    name,
    shape: ({ axes, keepDims }, x) => reducedShape(x, reduction(name, x, axes).over, keepDims),
    forward(run, { axes, keepDims }, x) {
      const { over, count } = reduction(name, x.shape, axes)
      const y = sumAxes(run, x, over, factor(count))
      return [run.view(y, reducedShape(x.shape, over, keepDims))]
    },
    backward(run, { axes }, [dy], [x]) {
      const { kept, count } = reduction(name, x.shape, axes)
      return [spread(run, run.view(dy, kept), x.shape, factor(count))]
    },
  }
  const apply = op(def)
  return (x: Tensor, axes?: Axes, options: KeepDims = {}): Tensor =>
    apply({ axes, keepDims: keepsDims(name, options) }, x)
}

/** The sum of x over `axes` (all by default; negative ones count from the end), added up in a fixed
 *  order. Reduced axes are removed unless `keepDims`. Throws ShapeError for an axis that x does not
 *  have. */
export const sum = sumTimes('sum', () => 1)
