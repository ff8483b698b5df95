// --tensorboard: the metrics of a run as TensorBoard reads them, in RUN/tensorboard.

import { closeSync, openSync, readFileSync, readdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { makeFolder, writeError } from '../../engine/node-files.ts'
import type { RunFolder } from '../../run-folder/run-folder.ts'
import { type Metric, metricOf } from '../../training/metrics.ts'
import { isObject } from '../../training/json.ts'
import { scalarRecord, versionRecord } from './event-file.ts'

/** Fields of a metric that are no curves. */
const ASIDE = ['step', 'changed', 'skipped', 'evaluated']

/** Lists the numbers of a metric by TensorBoard's tags: loss, terms/total. */
export function scalarsOf(metric: Metric): Readonly<Record<string, number>> {
  const values = Object.entries(metric).flatMap(([name, value]): [string, unknown][] => {
    if (ASIDE.includes(name)) return []
    if (name !== 'terms' || !isObject(value)) return [[name, value]]
    return Object.entries(value).map(([term, of]) => [`terms/${term}`, of])
  })
  return Object.fromEntries(
    values.filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  )
}

/** Writes every metric that is appended to a run to a new event file too. The first file of a run
 *  begins with the metrics from before. `now` returns seconds since 1970. Resolves to the function
 *  that ends this. Throws Error in words. */
export async function writeEvents(
  run: RunFolder,
  now: () => number = () => Date.now() / 1000,
): Promise<() => void> {
  const folder = run.path('tensorboard')
  await makeFolder(folder)
  const isFirst = !readdirSync(folder).some((name) => name.includes('tfevents'))
  const seconds = String(Math.floor(now())).padStart(10, '0')
  const path = join(folder, `events.out.tfevents.${seconds}.${process.pid}`)
  const file = openSync(path, 'a')
  const write = (bytes: Uint8Array) => {
    try {
      writeSync(file, bytes)
    } catch (cause) {
      throw writeError(path, cause)
    }
  }
  const tell = (metric: Metric) => {
    const values = scalarsOf(metric)
    if (Object.keys(values).length === 0) return
    write(scalarRecord({ time: now(), step: metric.step, values }))
  }
  write(versionRecord(now()))
  let isBegun = !isFirst
  run.onAppend = (metric) => {
    // a resumed training has dropped what it will make again by now
    if (!isBegun) earlier(run.path('metrics.jsonl')).forEach(tell)
    isBegun = true
    tell(metric)
  }
  return () => {
    run.onAppend = null
    closeSync(file)
  }
}

/** Reads all metrics but the one that was appended last. */
function earlier(path: string): Metric[] {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
  return lines.slice(0, -1).map((line, i) => metricOf(line, path, i + 1))
}
