import { wgsl } from '../op.ts'
import { binary, binaryOp } from './binary.ts'

/** Exported so that its shape rule can be tested without a GPU. */
export const addOp = binaryOp({
  name: 'add',
  y: wgsl`a[indexA(i)] + b[indexB(i)]`,
  da: (_run, dy) => dy,
  db: (_run, dy) => dy,
})

/** a + b, elementwise, broadcasting as numpy does. Either may be a number. Throws ShapeError for
 *  shapes that do not broadcast. */
export const add = binary(
  addOp,
  (b) => [1, b],
  (a) => [1, a],
)
