import { type Op, type Shape, type Tensor, ShapeError, op, show, sizeOf } from '../op.ts'
import { describe } from '../options.ts'

const reshapeOp: Op<[x: Tensor], [y: Tensor], { shape: Shape }> = {
  name: 'reshape',
  accepts: ['index'],
  shape: ({ shape }, x) => resolve(shape, x),
  forward: (run, { shape }, x) => [run.view(x, resolve(shape, x.shape))],
  backward: (run, _, [dy], [x]) => [run.view(dy, x.shape)],
}

/** Returns the shape with its -1 replaced. */
function resolve(shape: Shape, x: Shape): Shape {
  if (!Array.isArray(shape))
    throw new TypeError(`reshape: the shape must be an array of sizes, got ${describe(shape)}`)
  const known = sizeOf(shape.filter((size) => size !== -1))
  const open = shape.filter((size) => size === -1).length
  const sizes = shape.map((size) => (size === -1 && known > 0 ? sizeOf(x) / known : size))
  if (
    open > 1 ||
    sizes.some((size) => !Number.isInteger(size) || size < 0) ||
    sizeOf(sizes) !== sizeOf(x)
  )
    throw new ShapeError(`reshape: ${sizeOf(x)} elements of ${show(x)} do not fill ${show(shape)}`)
  return sizes
}

const applyReshape = op(reshapeOp)

/** Gives the elements of x, in row-major order, another shape. One size may be -1 and follows from
 *  the others. Copies nothing. Throws ShapeError for sizes that do not hold the elements of x. */
export const reshape = (x: Tensor, shape: Shape) => applyReshape({ shape }, x)
