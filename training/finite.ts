// Weights that are not finite, which are never saved, and the error of a training that has them.

import type { SavedTensor } from '../engine/safetensors.ts'
import { type Change, lowerRate } from './history.ts'
import type { TrainingStorage } from './storage.ts'

/** Returns the names of tensors with a value that is not finite. */
export const notFinite = (tensors: ReadonlyMap<string, SavedTensor>): string[] =>
  [...tensors]
    .filter(([, { data }]) => data instanceof Float32Array && !isFinite(data))
    .map(([name]) => name)

function isFinite(data: Float32Array): boolean {
  for (const value of data) if (value - value !== 0) return false // NaN - NaN and Inf - Inf are NaN
  return true
}

/** Shortens a list of names: `conv1.weight and 3 more`. */
export const someOf = ([first = '', ...others]: readonly string[]) =>
  others.length === 0 ? first : `${first} and ${others.length} more`

/** The last checkpoint, to which a diverged training goes back. */
export interface LastGood {
  /** Learning rate at which the training diverged. */
  readonly lr: number
  /** Changes of settings so far, with earlier rates. */
  readonly history: readonly Change[]
  /** Step and path of the checkpoint. */
  readonly step: number
  readonly path: string
}

/** Makes the Error of a diverged training: the event `what`, the last checkpoint, and how to resume
 *  from it at a lower rate. */
export const diverged = (what: string, storage: TrainingStorage, good: LastGood | null) =>
  new Error(
    good === null
      ? `${what}; there is no checkpoint of it: start again with ${storage.elsewhere}`
      : `${what}; the weights of step ${good.step} are finite, in ${good.path}; go on from ` +
          'there at a lower rate: ' +
          storage.goOn({ 'schedule.lr': lowerRate(good.lr, good.history) }),
  )
