// The command line as a process of its own.

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const cli = '.test/cli/kindred.js'

export interface Result {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Starts `kindred` with these arguments; `said` resolves once standard output holds the words. */
export function start(args: readonly string[]): {
  readonly child: ChildProcess
  readonly done: Promise<Result>
  readonly said: (words: RegExp) => Promise<void>
} {
  const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  const waiting: { words: RegExp; tell: () => void }[] = []
  child.stdout.on('data', (chunk) => {
    out += String(chunk)
    for (const { words, tell } of waiting) if (words.test(out)) tell()
  })
  child.stderr.on('data', (chunk) => (err += String(chunk)))
  const done = new Promise<Result>((tell) => child.on('close', (code) => tell({ code, out, err })))
  return { child, done, said: (words) => new Promise((tell) => waiting.push({ words, tell })) }
}

/** Runs `kindred` to its end. */
export const kindred = (...args: string[]) => start(args).done

/** The metrics of a run, as they stand in the file. */
export const metricsOf = (run: string) => readFileSync(join(run, 'metrics.jsonl'), 'utf8')
