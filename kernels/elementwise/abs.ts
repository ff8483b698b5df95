import { wgsl } from '../op.ts'
import { notANumber } from '../wgsl/nan.ts'
import { unary } from './unary.ts'

const along = wgsl`
  ${notANumber}
  fn along(x: f32, dy: f32) -> f32 {
    if (notANumber(x)) { return x; }
    return select(select(dy, -dy, x < 0.0), 0.0, x == 0.0);
  }
`

/** |x|, elementwise. The gradient at 0 is 0, as in torch. That of NaN is NaN. */
export const abs = unary({
  name: 'abs',
  y: { is: wgsl`abs(x)` },
  dx: { from: 'x', uses: along, is: wgsl`along(x, dy)` },
})
