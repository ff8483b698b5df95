// Ends a training early: at a signal, or when standard output is lost.

import { isOutputLost, onLostOutput } from './output.ts'
import type { Progress } from '../training/progress.ts'

/** Exit code of a training that was stopped and saved. */
export const INTERRUPTED = 130

/** A request to finish the current step, save, and end. */
export interface Stop {
  requested: boolean
}

const ECHO = 500 // milliseconds; npx or a shell may repeat one Ctrl-C within them

/** Requests a stop at Ctrl-C, SIGTERM, SIGHUP, or when standard output is lost. Ends the process at
 *  a second Ctrl-C or SIGTERM. Returns a function that removes the handlers. */
export function onInterrupt(stop: Stop, progress: Progress): () => void {
  let requestedAt = Infinity
  const request = (words: string | null) => {
    if (stop.requested) return
    stop.requested = true
    requestedAt = performance.now()
    if (words !== null) progress.note(words)
  }
  const saving = 'stopping after this step and saving'
  const again = () => performance.now() - requestedAt > ECHO && process.exit(INTERRUPTED)
  const interrupt = () => {
    again()
    request(`${saving}; Ctrl-C again to stop without saving`)
  }
  const terminate = () => {
    again()
    request(saving)
  }
  const hangUp = () => request(saving)
  const release = onLostOutput(() => request(null))
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', terminate)
  process.on('SIGHUP', hangUp)
  return () => {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', terminate)
    process.off('SIGHUP', hangUp)
    release()
    if (stop.requested) process.on('SIGINT', () => process.exit(INTERRUPTED)) // it is saved
  }
}

/** Prints the last line. Prints it on standard error if standard output is lost. */
export function say(progress: Progress, line: string, data: object) {
  if (isOutputLost()) console.error(`kindred: ${line}`)
  else progress.note(line, data)
}
