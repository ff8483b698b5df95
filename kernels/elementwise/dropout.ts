// Dropout (Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html).

import { type MaskOptions, randomMask } from './random-mask.ts'
import type { Tensor } from '../op.ts'

export type { MaskOptions } from './random-mask.ts'

/** Drops each element of x [N, ...] with probability p and scales the others by 1 / (1 - p).
 *  Returns x itself when not training. The dropped elements depend on the seed, the network, the
 *  stream, the step, the view, the sample's number in its batch (`offset` + n) and the position in
 *  the sample alone. Throws RangeError for p outside [0, 1]. Throws Error for a second mask of the
 *  same draws in one step, or outside of steps in one backward pass; `noGrad` does not count. */
export const dropout: (x: Tensor, p: number, options: MaskOptions) => Tensor = randomMask(
  'dropout',
  'element',
)
