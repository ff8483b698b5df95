// CLIP's loss of two towers, InfoNCE in both directions (Radford et al. 2021,
// https://arxiv.org/abs/2103.00020, Figure 3): each row of z1 picks its partner among the rows of
// z2, and each row of z2 among those of z1.
//
//   s_nm = z1_n·z2_m / T
//   loss = 1/2 (mean_n crossEntropy(s_n:, label n) + mean_m crossEntropy(s_:m, label m))

import { type Tensor, op } from '../op.ts'
import { contrast } from './ntxent.ts'
import { type Temperature, atTemperature } from './temperature.ts'
import { type Unit, isUnit } from '../similarity/pairs.ts'

const applyClipLoss = op(contrast('clipLoss', { across: true }), 'z1', 'z2')

/** CLIP's loss of z1 [N, D] and z2 [N, D], whose rows n are pairs -> [], at a temperature above 0,
 *  which gets a gradient if it is a tensor []. Rows are normalised inside unless `normalized`.
 *  Equals log(N) when all rows are equal, 0 for N = 1. Throws ShapeError, RangeError. */
export const clipLoss = (z1: Tensor, z2: Tensor, temperature: Temperature, options: Unit = {}) =>
  atTemperature(
    { name: 'clipLoss', temperature, normalized: isUnit('clipLoss', options) },
    [z1, z2],
    applyClipLoss,
  )
