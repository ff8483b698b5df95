// The objective of AMDIM (https://arxiv.org/abs/1906.00910, section 3.5): mutual information
// between two views, from global to local features and between local features. Each task classifies
// which image of the batch is the right one.

import { checkValue, having } from '../kernels/options.ts'
import type { Tensor } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { concat } from '../kernels/shape/concat.ts'
import { type NceMapsOptions, nceMaps } from '../kernels/loss/nce-maps.ts'
import type { Scales } from '../models/amdim-encoder.ts'

/** The losses of AMDIM's three tasks, each []. A task is named by two scales as in the paper:
 *  features of the first predict maps of the second. */
export interface MultiscaleLosses {
  /** From r1 [N, R] to r5 [N, 5, 5, R]. */
  readonly oneToFive: Tensor
  /** From r1 [N, R] to r7 [N, 7, 7, R]. */
  readonly oneToSeven: Tensor
  /** From one position of r5 [N, R] to r5 [N, 5, 5, R]. */
  readonly fiveToFive: Tensor
  /** Penalty of large scores, of all three tasks. */
  readonly penalty: Tensor
  /** Sum of the other four: what the encoder minimises. */
  readonly total: Tensor
}

/** Computes the losses of AMDIM (https://arxiv.org/abs/1906.00910, section 3.5) from the features
 *  of two views at three scales. `places` holds for each view one position [N, R] of its r5. A
 *  task's loss is the mean over its two directions, from the first view to the second and back;
 *  the penalty is half the sum over all six. `options` are those of `nceMaps`: clip 20 and penalty
 *  0.05 by default. Throws TypeError for other arguments, ShapeError, and RangeError for the
 *  options. */
export function multiscaleNce(
  views: readonly [Scales, Scales],
  places: readonly [Tensor, Tensor],
  options: Omit<NceMapsOptions, 'crossed'> = {},
): MultiscaleLosses {
  for (const [name, given] of Object.entries({ views, places }))
    checkValue('multiscaleNce', name, given, having('an array of two, one of each view', '0', '1'))
  const [one, two] = views
  const both = (r: keyof Scales) => concat([one[r], two[r]], 0)
  return crossedNce(
    { r1: both('r1'), r5: both('r5'), r7: both('r7') },
    concat([...places], 0),
    options,
  )
}

/** `multiscaleNce` of features whose first half of rows is of one view of N images and whose second
 *  half is of the other: `views` at three scales, and `places` [2N, R]. */
export function crossedNce(
  { r1, r5, r7 }: Scales,
  places: Tensor,
  options: Omit<NceMapsOptions, 'crossed'>,
): MultiscaleLosses {
  const task = (sources: Tensor, maps: Tensor) =>
    nceMaps(sources, maps, { ...options, crossed: true })
  const oneToFive = task(r1, r5)
  const oneToSeven = task(r1, r7)
  const fiveToFive = task(places, r5)
  const penalty = add(add(oneToFive.penalty, oneToSeven.penalty), fiveToFive.penalty)
  const losses = add(add(oneToFive.loss, oneToSeven.loss), fiveToFive.loss)
  return {
    oneToFive: oneToFive.loss,
    oneToSeven: oneToSeven.loss,
    fiveToFive: fiveToFive.loss,
    penalty,
    total: add(losses, penalty),
  }
}
