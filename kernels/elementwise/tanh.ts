import { wgsl } from '../op.ts'
import { preciseTanh } from '../wgsl/pointwise.ts'
import { unary } from './unary.ts'

/** tanh(x), elementwise, accurate to f32. It saturates at +-1 for any size of x. NaN stays NaN. */
export const tanh = unary({
  name: 'tanh',
  y: { uses: preciseTanh, is: wgsl`preciseTanh(x[i])` },
  dx: { from: 'y', is: wgsl`dy[i] * (1.0 - y[i]) * (1.0 + y[i])` }, // dy (1 - y²)
})
