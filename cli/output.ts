// Standard output that can be lost: a closed pipe (`| head -1`), a full disk, a terminal that is
// gone.

import { codeOf } from '../engine/node-files.ts'

/** A value as one line of JSON in which what a terminal obeys is spelled as JSON does;
 *  JSON.stringify leaves the second set of control characters. */
export const jsonLine = (value: object): string =>
  JSON.stringify(value).replace(
    /[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** The exit code of a program that writes into a closed pipe, as shells report SIGPIPE. */
const BROKEN_PIPE = 141

let failure: Error | null = null
const listeners = new Set<() => void>()

/** Notices from now on when standard output is lost. A command that does not listen then ends at
 * once, as it has nothing to save. Nothing that is said on standard error can end a command. */
export function watchOutput() {
  process.stderr.on('error', () => undefined)
  process.stdout.on('error', (error) => {
    if (failure) return
    failure = error
    if (listeners.size === 0) process.exit(exitCode(0))
    for (const tell of listeners) tell()
  })
}

/** Calls `tell` once standard output is lost, at once if it has been; returns what ends that. */
export function onLostOutput(tell: () => void): () => void {
  listeners.add(tell)
  if (failure) tell()
  return () => listeners.delete(tell)
}

/** Whether what is printed still goes anywhere. */
export const isOutputLost = () => failure !== null

/** Resolves when all that was printed has been written or lost. */
export const flushed = () =>
  new Promise<void>((resolve) => process.stdout.write('', () => setImmediate(resolve)))

/** The exit code of a command that ended with `code`, in view of standard output; says why that was
 * lost unless its reader simply went away. */
export function exitCode(code: number): number {
  if (!failure) return code
  if (codeOf(failure) === 'EPIPE') return BROKEN_PIPE
  const words: Readonly<Record<string, string>> = {
    ENOSPC: 'the disk is full',
    EDQUOT: 'your disk quota is used up',
    EIO: 'the terminal is gone',
  }
  console.error(
    `kindred: cannot write to standard output: ${words[codeOf(failure)] ?? failure.message}`,
  )
  return 1
}
