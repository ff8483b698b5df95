// timings.jsonl: the speed of a training, in a file of its own, so that metrics.jsonl stays the
// same bytes however often a run was resumed.

import { appendFile, readFile } from 'node:fs/promises'
import { isObject, parse } from '../../training/json.ts'
import type { Progress } from '../../training/progress.ts'

const EVERY = 2000 // milliseconds between lines
const FILE = 'timings.jsonl'

/** Images per second up to a step. */
export interface Timing {
  readonly step: number
  readonly rate: number
}

/** Passes a training's output on, and appends its speed to timings.jsonl every two seconds. The
 *  first step, which compiles kernels, and measurements do not count. A failed write is passed
 *  over. */
export function timed(
  progress: Progress,
  run: { path(name: string): string },
  now: () => number = () => performance.now(),
): Progress {
  let since: number | null = null
  let images = 0
  return {
    start: (total, measured) => progress.start(total, measured),
    update(step, values = {}) {
      progress.update(step, values)
      const at = now()
      if (since === null) {
        since = at
        return
      }
      images += values.images ?? 0
      if (at - since < EVERY) return
      const line = { step, rate: Number(((1000 * images) / (at - since)).toPrecision(5)) }
      void appendFile(run.path(FILE), `${JSON.stringify(line)}\n`).catch(() => undefined)
      since = at
      images = 0
    },
    note(line, data) {
      progress.note(line, data)
      since = null // a measurement took time: it is no speed of the training
      images = 0
    },
    stop: () => progress.stop(),
  }
}

/** Reads the speeds of a run in the order of their steps. Of steps that were made twice, after a
 *  stop, the later count. Passes over a damaged line. */
export async function readTimings(run: { path(name: string): string }): Promise<Timing[]> {
  const text = await readFile(run.path(FILE), 'utf8').catch(() => '')
  const timings: Timing[] = []
  for (const line of text.split('\n')) {
    const value = parse(line)
    if (!isObject(value)) continue
    const { step, rate } = value
    if (typeof step !== 'number' || typeof rate !== 'number') continue
    while ((timings.at(-1)?.step ?? -1) >= step) timings.pop()
    timings.push({ step, rate })
  }
  return timings
}
