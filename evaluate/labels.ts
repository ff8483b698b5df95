// Checks labels, and indices of samples.

import { flatNumbers } from '../kernels/numbers.ts'
import { ShapeError } from '../kernels/op.ts'
import { checkValue, having } from '../kernels/options.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'

const list = having('an array of classes', 'length')

/** Returns labels as whole numbers below `classes`. `count` is the number of samples, if there must
 *  be one label for each. Throws TypeError, ShapeError for another count or none, and RangeError
 *  for a label that is no class. Messages begin with `owner`. */
export function classLabels(
  owner: string,
  labels: IndexList,
  {
    classes,
    count,
    what = 'labels',
  }: { readonly classes: number; readonly count?: number; readonly what?: string },
): Int32Array {
  checkValue(owner, what, labels, list)
  const given = flatNumbers(`${owner}: ${what}`, labels)
  if (given.length === 0 || (count !== undefined && given.length !== count))
    throw new ShapeError(
      `${owner}: there must be at least one feature and one label for each, got ${given.length} ${what} for ${count ?? 0}`,
    )
  for (let i = 0; i < given.length; i++) {
    const label = given[i] ?? NaN
    if (!(Number.isInteger(label) && label >= 0 && label < classes))
      throw new RangeError(
        `${owner}: ${what} must be whole numbers from 0 to ${classes - 1}, got ${label} at ${i}`,
      )
  }
  return Int32Array.from(given)
}

/** Returns the indices `initial` of samples that are chosen already. Throws RangeError, whose
 *  message begins with `owner`, for one that is not below M. */
export function sampleIndices(owner: string, initial: IndexList, M: number): number[] {
  const indices = Array.from(flatNumbers(`${owner}: initial`, initial))
  for (const [at, i] of indices.entries())
    if (!(Number.isInteger(i) && i >= 0 && i < M))
      throw new RangeError(
        `${owner}: initial must be whole numbers from 0 to ${M - 1}, got ${i} at ${at}`,
      )
  return indices
}
