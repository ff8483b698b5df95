import { wgsl } from '../op.ts'
import { unary } from './unary.ts'

/** x², elementwise. */
export const square = unary({
  name: 'square',
  y: { is: wgsl`x * x` },
  dx: { from: 'x', is: wgsl`2.0 * x * dy` },
})
