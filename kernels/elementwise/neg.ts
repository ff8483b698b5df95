import type { Tensor } from '../op.ts'
import { affineAs } from '../wgsl/affine.ts'

const times = affineAs('neg', 'x')

/** -x, elementwise. */
export const neg = (x: Tensor): Tensor => times(x, -1, -0) // adding -0 keeps the sign of a zero
