import { wgsl } from '../op.ts'
import { overLines } from './softmax-op.ts'

/** log(softmax(x)) along an axis: rows of [N, C] by default. Logits may have any size. Throws
 *  ShapeError for an axis that x does not have. */
export const logSoftmax = overLines('logSoftmax', {
  // y = (x - m) - log(sum(exp(x - m))), with m the largest x. x - m is exact where y is near 0.
  norm: wgsl`log(total)`,
  y: wgsl`x[e] - m - norm`,
  // dx = dy - softmax(x) sum(dy), and softmax(x) = exp(y)
  term: wgsl`dy[start + r * p.B]`,
  dx: wgsl`dy[e] - exp(y[e]) * along`,
})
