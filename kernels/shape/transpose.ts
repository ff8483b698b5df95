import { type Op, type Run, type Shape, type Tensor, ShapeError, dim, op, show } from '../op.ts'
import { checkStrides, readStrided, stridesOf } from '../wgsl/strided.ts'
import { describe } from '../options.ts'

const transposeOp: Op<[x: Tensor], [y: Tensor], { order: readonly number[] | undefined }> = {
  name: 'transpose',
  shape({ order }, x) {
    const axes = resolve(order, x)
    const strides = stridesOf(x)
    const shape = axes.map((axis) => dim(x, axis))
    const walked = axes.map((axis) => dim(strides, axis))
    checkStrides(`transpose: axes ${show(axes)} of ${show(x)}`, shape, walked)
    return shape
  },
  forward: (run, { order }, x) => [permuted(run, x, resolve(order, x.shape))],
  backward(run, { order }, [dy], [x]) {
    const axes = resolve(order, x.shape)
    const inverse = axes.map((_, axis) => axes.indexOf(axis))
    return [permuted(run, dy, inverse)]
  },
}

/** Axis i of the result is axis order[i] of x. */
function permuted(run: Run, x: Tensor, order: readonly number[]): Tensor {
  const shape = order.map((axis) => dim(x.shape, axis))
  const strides = stridesOf(x.shape)
  return readStrided(run, x, shape, { strides: order.map((axis) => dim(strides, axis)) })
}

function resolve(order: readonly number[] | undefined, x: Shape): readonly number[] {
  const rank = x.length
  if (order === undefined && rank < 2)
    throw new ShapeError(`transpose: two axes are needed to swap, got ${show(x)}`)
  if (order !== undefined && !Array.isArray(order))
    throw new TypeError(`transpose: the order must be an array of axes, got ${describe(order)}`)
  const axes: readonly number[] =
    order ?? [...x.keys()].map((i) => (i < rank - 2 ? i : 2 * rank - 3 - i))
  if (axes.length !== rank || [...x.keys()].some((i) => !axes.includes(i)))
    throw new ShapeError(
      `transpose: the order must name every axis of ${show(x)} once, got ${show(axes)}`,
    )
  return axes
}

const applyTranspose = op(transposeOp)

/** Permutes the axes of x: axis i of the result is axis order[i] of x. By default the last two
 *  swap. Throws ShapeError for an order that does not name every axis once. */
export const transpose = (x: Tensor, order?: readonly number[]) => applyTranspose({ order }, x)
