// The error of a training whose weights are not finite.

import { type Change, lowerRate } from './history.ts'
import type { TrainingStorage } from './storage.ts'

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
