import { wgsl } from '../op.ts'
import { overLines } from './softmax-op.ts'

/** exp(x) / sum(exp(x)) along an axis: rows of [N, C] by default. Logits may have any size;
 *  -Infinity masks an element. A line of nothing else is NaN, as in torch. Throws ShapeError for an
 *  axis that x does not have. */
export const softmax = overLines('softmax', {
  // y = exp(x - m) / sum(exp(x - m)), with m the largest x
  norm: wgsl`total`,
  y: wgsl`exp(x[e] - m) / norm`,
  // dx = y (dy - sum(y dy))
  term: wgsl`y[start + r * p.B] * dy[start + r * p.B]`,
  dx: wgsl`y[e] * (dy[e] - along)`,
})
