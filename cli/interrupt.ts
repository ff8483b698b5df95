// What ends a training early: signals, and standard output that nobody takes any more.

import { isOutputLost, onLostOutput } from './output.ts'
import type { Progress } from '../training/progress.ts'

/** The exit code of a training that was stopped and saved. */
export const INTERRUPTED = 130

/** A request to finish the step under way, save, and end. */
export interface Stop {
  requested: boolean
}

const ECHO = 500 // milliseconds within which a second Ctrl-C is the first one, passed on by npx or a shell

/** Asks for a stop at Ctrl-C, SIGTERM, SIGHUP, or once standard output is lost; a second Ctrl-C or
 * SIGTERM ends at once. Returns what takes the handlers away again. */
export function onInterrupt(stop: Stop, progress: Progress): () => void {
  let asked = Infinity // when
  const request = (words: string | null) => {
    if (stop.requested) return
    stop.requested = true
    asked = performance.now()
    if (words !== null) progress.note(words)
  }
  const saving = 'stopping after this step and saving'
  const again = () => performance.now() - asked > ECHO && process.exit(INTERRUPTED)
  const interrupt = () => {
    again()
    request(`${saving}; Ctrl-C again to stop without saving`)
  }
  const terminate = () => {
    again()
    request(saving)
  }
  const hangUp = () => request(saving)
  const lost = onLostOutput(() => request(null))
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', terminate)
  process.on('SIGHUP', hangUp)
  return () => {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', terminate)
    process.off('SIGHUP', hangUp)
    lost()
    if (stop.requested) process.on('SIGINT', () => process.exit(INTERRUPTED)) // saved: the exit code says so
  }
}

/** Says something last: on standard error where standard output is lost. */
export function say(progress: Progress, line: string, data: object) {
  if (isOutputLost()) console.error(`kindred: ${line}`)
  else progress.note(line, data)
}
