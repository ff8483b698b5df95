import { wgsl } from '../op.ts'
import { log1pUnit } from '../wgsl/pointwise.ts'
import { logistic } from './sigmoid.ts'
import { unary } from './unary.ts'

/** log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), elementwise. It never overflows, and is
 *  accurate to f32 where it is tiny. Above 20 the second term is below half a unit in the last
 *  place, so that y = x, as in torch. */
export const softplus = unary({
  name: 'softplus',
  y: { uses: log1pUnit, is: wgsl`max(x, 0.0) + log1pUnit(exp(-abs(x)))` },
  dx: { from: 'x', uses: logistic, is: wgsl`dy * logistic(x)` },
})
