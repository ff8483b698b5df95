import { wgsl } from '../op.ts'
import { enlarged } from '../wgsl/pointwise.ts'
import { unary } from './unary.ts'

const sqrtOf = wgsl`
  ${enlarged}
  fn sqrtOf(x: f32) -> f32 {
    if (isSubnormal(x)) { return sqrt(enlarged(x)) * 0x1p-32f; }
    return sqrt(x);
  }
`

/** The square root of x, elementwise. Its gradient at 0 is infinite. */
export const sqrt = unary({
  name: 'sqrt',
  y: { uses: sqrtOf, is: wgsl`sqrtOf(x)` },
  dx: { from: 'y', is: wgsl`0.5 * dy / y` },
})
