#!/usr/bin/env node
// The command line. Exit codes: 0 done, 1 something failed, 2 the command is not understood, 130
// interrupted and saved.

import { CommanderError } from 'commander'
import { printableLines } from '../kernels/printable.ts'
import { UsageError } from '../training/choice.ts'
import { exitCode, flushed, jsonLine, watchOutput } from './output.ts'
import { programOf } from './program.ts'

watchOutput()

try {
  programOf((running) => void running.then(end, fail)).parse()
} catch (error) {
  if (error instanceof CommanderError) end(error.exitCode === 0 ? 0 : 2) // the help is printed
  else fail(error)
}

/** Prints an error in one line and ends. Prints its stack too when KINDRED_DEBUG is set. */
function fail(thrown: unknown) {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  const code = error instanceof UsageError ? 2 : 1
  const text = process.env['KINDRED_DEBUG'] ? (error.stack ?? error.message) : error.message
  console.error(`kindred: ${printableLines(text)}`)
  const event = jsonLine({ event: 'error', text: error.message, code })
  if (process.argv.includes('--json')) process.stdout.write(`${event}\n`)
  end(code)
}

/** Ends with an exit code once all output is written. */
function end(code: number) {
  void flushed().then(() => {
    process.exitCode = exitCode(code)
  })
}
