// Standard output, which can be lost: a closed pipe (`| head -1`), a full disk, a closed terminal.

import { codeOf } from '../engine/node-files.ts'

/** Returns a value as one line of JSON. Escapes the control characters that JSON.stringify leaves
 *  and terminals obey. */
export const jsonLine = (value: object): string =>
  JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** Exit code after a write to a closed pipe, as shells report SIGPIPE. */
const BROKEN_PIPE = 141

let failure: Error | null = null
const listeners = new Set<() => void>()

/** Begins to watch for the loss of standard output. A command without a listener has nothing to
 *  save and ends at once. An error of standard error is ignored. */
export function watchOutput() {
  process.stderr.on('error', () => undefined)
  process.stdout.on('error', (error) => {
    if (failure) return
    failure = error
    if (listeners.size === 0) process.exit(exitCode(0))
    for (const listener of listeners) listener()
  })
}

/** Calls `listener` when standard output is lost, at once if it is lost already. Returns a function
 *  that removes the listener. */
export function onLostOutput(listener: () => void): () => void {
  listeners.add(listener)
  if (failure) listener()
  return () => listeners.delete(listener)
}

/** Tells whether standard output is lost. */
export const isOutputLost = () => failure !== null

/** Resolves when all output is written or lost. */
export const flushed = () =>
  new Promise<void>((resolve) => process.stdout.write('', () => setImmediate(resolve)))

/** Returns the exit code of a command that ended with `code`: another one if standard output is
 *  lost. Prints the reason unless the reader of a pipe has ended. */
export function exitCode(code: number): number {
  if (!failure) return code
  if (codeOf(failure) === 'EPIPE') return BROKEN_PIPE
  const words: Readonly<Record<string, string>> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'your disk quota is used up',
    EIO: 'the terminal is closed',
  }
  console.error(
    `kindred: cannot write to standard output: ${words[codeOf(failure)] ?? failure.message}`,
  )
  return 1
}
