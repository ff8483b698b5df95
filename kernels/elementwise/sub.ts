import { wgsl } from '../op.ts'
import { binary, binaryOp } from './binary.ts'

const subOp = binaryOp({
  name: 'sub',
  y: wgsl`a[indexA(i)] - b[indexB(i)]`,
  da: (_run, dy) => dy,
  db: (_run, dy) => dy,
  sign: -1,
})

/** a - b, elementwise, broadcasting as numpy does. Either may be a number. Throws ShapeError for
 *  shapes that do not broadcast, and TypeError for the number NaN. */
export const sub = binary(
  subOp,
  (b) => [1, -b],
  (a) => [-1, a],
)
