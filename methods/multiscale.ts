// The objective of AMDIM (https://arxiv.org/abs/1906.00910, section 3.5): mutual information
// between two views, from global to local features and between local features. Each task classifies
// which image of the batch is the right one.

import { checkValue, having } from '../kernels/options.ts'
import type { Tensor } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { addAll } from '../kernels/wgsl/add-all.ts'
import { affine } from '../kernels/wgsl/affine.ts'
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
  const task = (sources: readonly [Tensor, Tensor], maps: readonly [Tensor, Tensor]): Task => {
    const there = nceMaps(sources[0], maps[1], options)
    const back = nceMaps(sources[1], maps[0], options)
    return { loss: half(there.loss, back.loss), penalty: half(there.penalty, back.penalty) }
  }
  const r1 = [one.r1, two.r1] as const
  const r5 = [one.r5, two.r5] as const
  return totalled(task(r1, r5), task(r1, [one.r7, two.r7]), task(places, r5))
}

const half = (a: Tensor, b: Tensor) => affine(add(a, b), 0.5, 0)

/** `multiscaleNce` of features whose first half of rows is of one view and whose second half is of
 *  the other: `views` at three scales, and `places` [2N, R]. Both directions of a task are one
 *  loss. */
export function crossedNce(
  { r1, r5, r7 }: Scales,
  places: Tensor,
  options: Omit<NceMapsOptions, 'crossed'>,
): MultiscaleLosses {
  const crossed = { ...options, crossed: true }
  return totalled(nceMaps(r1, r5, crossed), nceMaps(r1, r7, crossed), nceMaps(places, r5, crossed))
}

/** A task's mean over both directions. */
interface Task {
  readonly loss: Tensor
  readonly penalty: Tensor
}

function totalled(oneToFive: Task, oneToSeven: Task, fiveToFive: Task): MultiscaleLosses {
  const penalty = addAll({}, oneToFive.penalty, oneToSeven.penalty, fiveToFive.penalty)
  return {
    oneToFive: oneToFive.loss,
    oneToSeven: oneToSeven.loss,
    fiveToFive: fiveToFive.loss,
    penalty,
    total: addAll({}, oneToFive.loss, oneToSeven.loss, fiveToFive.loss, penalty),
  }
}
