#!/usr/bin/env node
// The command line. Exit codes: 0 done, 1 something failed, 2 the command was not understood, 130
// interrupted and saved.

import { CommanderError } from 'commander'
import { printableLines } from '../kernels/printable.ts'
import { UsageError } from '../training/choice.ts'
import { exitCode, flushed, jsonLine, watchOutput } from './output.ts'
import { programOf } from './program.ts'

watchOutput()

try {
  programOf(finish).parse()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  const { exitCode: status, message } = error // told already, in words and with where to look
  if (status !== 0) tellProgram(message.replace(/^error: /, ''), 2)
  end(status === 0 ? 0 : 2)
}

/** Sets the exit code, and tells an error in one line (with its stack when KINDRED_DEBUG is
 *  set). */
function finish(running: Promise<number>) {
  running.then(end, (error: unknown) => {
    const told = error instanceof Error ? error : new Error(String(error))
    const code = error instanceof UsageError ? 2 : 1
    const text = process.env['KINDRED_DEBUG'] ? (told.stack ?? told.message) : told.message
    console.error(`kindred: ${printableLines(text)}`)
    tellProgram(told.message, code)
    end(code)
  })
}

/** An error as an event, where a program listens. */
function tellProgram(text: string, code: number) {
  const event = jsonLine({ event: 'error', text, code })
  if (process.argv.includes('--json')) process.stdout.write(`${event}\n`)
}

/** Ends with an exit code once all is printed. */
function end(code: number) {
  void flushed().then(() => {
    process.exitCode = exitCode(code)
  })
}
