// Stochastic depth (Huang et al. 2016, https://arxiv.org/abs/1603.09382), scaled in training as by
// timm's DropPath and by torchvision's stochastic_depth in mode 'row'.

import { type MaskOptions, randomMask } from './random-mask.ts'
import type { Tensor } from '../op.ts'

/** Drops each sample of a residual branch x [N, ...] with probability p and scales the others by
 *  1 / (1 - p). Returns x itself when not training. Draws and errors are those of `dropout`. */
export const dropPath: (x: Tensor, p: number, options: MaskOptions) => Tensor = randomMask(
  'dropPath',
  'sample',
)
