import { wgsl } from '../op.ts'
import { combine } from '../wgsl/broadcast.ts'
import { binary, binaryKernel, binaryOp } from './binary.ts'

const product = wgsl`a[indexA(i)] * b[indexB(i)]`

/** Exported for ops whose gradient is a product. */
export const mulKernel = binaryKernel('mul', product)

const mulOp = binaryOp({
  name: 'mul',
  y: product,
  da: (run, dy, b) => combine(run, mulKernel, dy, b),
  db: (run, dy, a) => combine(run, mulKernel, dy, a),
})

/** a b, elementwise, broadcasting as numpy does. Either may be a number. Throws ShapeError for
 *  shapes that do not broadcast, and TypeError for the number NaN. */
export const mul = binary(
  mulOp,
  (b) => [b, -0], // so that -0 times a number keeps its sign
  (a) => [a, -0],
)
