import { wgsl } from '../op.ts'
import { combine } from '../wgsl/broadcast.ts'
import { enlarged } from '../wgsl/pointwise.ts'
import { divKernel } from './div.ts'
import { unary } from './unary.ts'

const logOf = wgsl`
  ${enlarged}
  fn logOf(x: f32) -> f32 {
    if (isSubnormal(x)) { return log(enlarged(x)) - 44.3614196; } // 64 log 2
    return log(x);
  }
`

/** The natural logarithm of x, elementwise. Near 1 its absolute error is up to 5e-7, as WGSL's. */
export const log = unary({
  name: 'log',
  y: { uses: logOf, is: wgsl`logOf(x)` },
  dx: (run, dy, x) => combine(run, divKernel, dy, x),
})
