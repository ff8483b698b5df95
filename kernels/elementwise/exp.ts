import { wgsl } from '../op.ts'
import { combine } from '../wgsl/broadcast.ts'
import { mulKernel } from './mul.ts'
import { unary } from './unary.ts'

/** exp(x), elementwise. */
export const exp = unary({
  name: 'exp',
  y: { is: wgsl`exp(x)` },
  dx: (run, dy, _x, y) => combine(run, mulKernel, dy, y),
})
