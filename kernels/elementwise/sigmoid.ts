import { wgsl } from '../op.ts'
import { unary } from './unary.ts'

/** WGSL of `logistic(x)`: 1 / (1 + exp(-x)). It does not overflow, and small results keep their
 *  digits. */
export const logistic = wgsl`
  fn logistic(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
  }
`

/** 1 / (1 + exp(-x)), elementwise. */
export const sigmoid = unary({
  name: 'sigmoid',
  y: { uses: logistic, is: wgsl`logistic(x)` },
  dx: { from: 'y', is: wgsl`dy * y * (1.0 - y)` },
})
