// Scaling a row to unit length, as torch.nn.functional.normalize does: x / max(|x|, 1e-12).

import { wgsl } from '../op.ts'
import { maximumOf } from './nan.ts'

/** WGSL of two factors for a row of this length. `unitScale` scales it to unit length; it is 1 for
 *  rows that are normalised already. `unitGradientScale` is the same factor for the backward pass,
 *  where a row of length 0 gets no gradient, as in l2Normalize. */
export const unitRow = wgsl`
  ${maximumOf}
  fn unitScale(length: f32, normalized: bool) -> f32 {
    return select(1.0 / maximumOf(length, 1e-12), 1.0, normalized);
  }
  fn unitGradientScale(length: f32, normalized: bool) -> f32 {
    return select(unitScale(length, normalized), 0.0, !normalized && length <= 1e-12);
  }
`
