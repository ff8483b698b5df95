import { type Op, type Shape, type Tensor, ShapeError, op, show } from '../op.ts'
import { describe } from '../options.ts'
import { sumTo } from '../wgsl/broadcast.ts'
import { broadcastStrides, checkStrides, spread } from '../wgsl/strided.ts'

const expandOp: Op<[x: Tensor], [y: Tensor], { shape: Shape }> = {
  name: 'expand',
  shape: ({ shape }, x) => expanded(shape, x),
  forward(run, { shape }, x) {
    const into = expanded(shape, x.shape)
    return [spread(run, run.view(x, aligned(x.shape, into)), into)]
  },
  backward: (run, _, [dy], [x]) => [sumTo(run, dy, x.shape)],
}

/** x with axes of size 1 in front, as many as `into` has more. */
const aligned = (x: Shape, into: Shape): Shape => [...into.slice(x.length).map(() => 1), ...x]

/** Returns the shape with every -1 replaced by x's size. */
function expanded(shape: Shape, x: Shape): Shape {
  if (!Array.isArray(shape))
    throw new TypeError(`expand: the shape must be an array of sizes, got ${describe(shape)}`)
  const from = aligned(x, shape)
  const missing = shape.length - x.length
  const into = shape.map((size, i) => (size === -1 && i >= missing ? (from[i] ?? -1) : size))
  const fits = into.every(
    (size, i) => Number.isInteger(size) && size >= 0 && (from[i] === 1 || from[i] === size),
  )
  if (missing < 0 || !fits)
    throw new ShapeError(`expand: ${show(x)} does not repeat to fill ${show(shape)}`)
  checkStrides(`expand: axes of ${show(x)} and ${show(into)}`, into, broadcastStrides(from, into))
  return into
}

const applyExpand = op(expandOp)

/** Repeats x along its axes of size 1, and along new axes in front, to fill the shape, like torch's
 *  expand, but as a copy. -1 keeps an axis. The gradient is the sum over repetitions. Throws
 *  ShapeError for a shape that x does not repeat to fill. */
export const expand = (x: Tensor, shape: Shape): Tensor => applyExpand({ shape }, x)
