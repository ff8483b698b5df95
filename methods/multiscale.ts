// The objective of AMDIM (https://arxiv.org/abs/1906.00910, section 3.5): mutual information
// between two views, from global to local features and between local features. Each task classifies
// which image of the batch is the right one.

import { checkValue, having } from '../kernels/options.ts'
import type { Tensor } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { affine } from '../kernels/wgsl/affine.ts'
import { nceMaps } from '../kernels/loss/nce-maps.ts'
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
  options: { readonly clip?: number; readonly penalty?: number } = {},
): MultiscaleLosses {
  for (const [name, given] of Object.entries({ views, places }))
    checkValue('multiscaleNce', name, given, having('an array of two, one of each view', '0', '1'))
  const [one, two] = views
  const task = (sources: readonly [Tensor, Tensor], maps: readonly [Tensor, Tensor]) => {
    const there = nceMaps(sources[0], maps[1], options)
    const back = nceMaps(sources[1], maps[0], options)
    return { loss: half(there.loss, back.loss), penalty: half(there.penalty, back.penalty) }
  }
  const r1 = [one.r1, two.r1] as const
  const r5 = [one.r5, two.r5] as const
  const oneToFive = task(r1, r5)
  const oneToSeven = task(r1, [one.r7, two.r7])
  const fiveToFive = task(places, r5)
  const tasks = [oneToFive, oneToSeven, fiveToFive] as const
  const penalty = add(add(tasks[0].penalty, tasks[1].penalty), tasks[2].penalty)
  const losses = add(add(tasks[0].loss, tasks[1].loss), tasks[2].loss)
  return {
    oneToFive: oneToFive.loss,
    oneToSeven: oneToSeven.loss,
    fiveToFive: fiveToFive.loss,
    penalty,
    total: add(losses, penalty),
  }
}

const half = (a: Tensor, b: Tensor) => affine(add(a, b), 0.5, 0)
