// Notes of how far a long computation is, with the time left.

import type { Progress } from '../../training/progress.ts'
import { duration } from '../progress.ts'

const EVERY = 10_000 // milliseconds between notes

/** How much of the whole is done, in one unit. */
interface Done {
  readonly done: number
  readonly total: number
}

/** Returns a function to be told how far a computation is. At most every 10 seconds, and not at the
 *  end, it notes `line` and the time left at the speed so far. It returns whether it did. */
export function noted(progress: Progress, line: (so: Done) => string): (so: Done) => boolean {
  const start = performance.now()
  let printed = start
  return ({ done, total }) => {
    const now = performance.now()
    if (now - printed < EVERY || done >= total) return false
    printed = now
    const left = duration(((now - start) / 1000) * (total / done - 1))
    progress.note(`${line({ done, total })}  ETA ${left}`)
    return true
  }
}

/** For `noted`: how many of all pairs of images have been compared. */
export const pairsCompared = ({ done, total }: Done): string =>
  `compared ${Math.floor((100 * done) / total)} % of all pairs of images`
