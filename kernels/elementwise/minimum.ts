import { type Tensor, op, wgsl } from '../op.ts'
import { extremumOp } from './extremum.ts'

const apply = op(extremumOp('minimum', wgsl`<`), 'a', 'b')

/** The smaller of a and b, elementwise, broadcasting as numpy does; NaN where either is. As in
 *  torch, where a equals b each gets half of the gradient. `clamp` limits by a number. Throws
 *  ShapeError for shapes that do not broadcast. */
export const minimum = (a: Tensor, b: Tensor): Tensor => apply({}, a, b)
