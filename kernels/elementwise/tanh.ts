import { wgsl } from '../op.ts'
import { preciseTanh } from '../wgsl/pointwise.ts'
import { unary } from './unary.ts'

/** tanh(x), elementwise, accurate to f32. It saturates at +-1 for any size of x. NaN stays NaN. */
export const tanh = unary({
  name: 'tanh',
  y: { uses: preciseTanh, is: wgsl`preciseTanh(x)` },
  dx: { from: 'y', is: wgsl`dy * (1.0 - y) * (1.0 + y)` }, // dy (1 - y²)
})
