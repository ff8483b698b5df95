// Weights that are not finite, which are never saved, and what is said when a training arrives at
// them.

import type { SavedTensor } from '../engine/safetensors.ts'
import { type Change, lowerRate } from './history.ts'
import type { TrainingStorage } from './storage.ts'

/** The names of tensors that hold a value which is not finite. */
export const notFinite = (tensors: ReadonlyMap<string, SavedTensor>): string[] =>
  [...tensors]
    .filter(([, { data }]) => data instanceof Float32Array && !isFinite(data))
    .map(([name]) => name)

function isFinite(data: Float32Array): boolean {
  for (const value of data) if (value - value !== 0) return false // infinities and NaN: the difference is NaN
  return true
}

/** Some names in words: `conv1.weight and 3 more`. */
export const someOf = ([first = '', ...others]: readonly string[]) =>
  others.length === 0 ? first : `${first} and ${others.length} more`

/** What a training goes back to. */
export interface LastGood {
  /** The learning rate that it went wrong with. */
  readonly lr: number
  /** The changes of its settings, with the rates that it had before. */
  readonly history: readonly Change[]
  /** The step of the last checkpoint, and its path. */
  readonly step: number
  readonly path: string
}

/** The Error of a training that has diverged: `what` happened, the last checkpoint, and how to go on
 *  from it. */
export const diverged = (what: string, storage: TrainingStorage, good: LastGood | null) =>
  new Error(
    good === null
      ? `${what}; there is no checkpoint of it: start again with ${storage.elsewhere}`
      : `${what}; the weights of step ${good.step} are finite, in ${good.path}; go on from there at a lower rate: ` +
          storage.goOn({ 'schedule.lr': lowerRate(good.lr, good.history) }),
  )
