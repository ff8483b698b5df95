// The share of right predictions.

import type { IndexList } from '../kernels/wgsl/indices.ts'
import { flatNumbers } from '../kernels/numbers.ts'
import { checkValue, having } from '../kernels/options.ts'

/** Returns the percentage of predictions [N] that equal their labels [N]. Throws Error when the
 *  counts differ or are 0. */
export function accuracy(predictions: IndexList, labels: IndexList): number {
  for (const [name, given] of Object.entries({ predictions, labels }))
    checkValue('accuracy', name, given, having('an array of classes', 'length'))
  const found = flatNumbers('accuracy: predictions', predictions)
  const wanted = flatNumbers('accuracy: labels', labels)
  if (found.length !== wanted.length || wanted.length === 0)
    throw new Error(
      `accuracy: there must be one prediction per label, got ${found.length} for ${wanted.length} labels`,
    )
  let right = 0
  for (let i = 0; i < wanted.length; i++) if (found[i] === wanted[i]) right++
  return (100 * right) / wanted.length
}
