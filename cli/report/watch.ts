// --watch: the page of a run, served while it trains.

import { printableLines } from '../../kernels/printable.ts'
import { reasonOf } from '../../kernels/reason-of.ts'
import { isOutputLost, jsonLine, onLostOutput } from '../output.ts'
import { readRun } from '../runs.ts'
import type { Progress } from '../../training/progress.ts'
import { type Served, PORT, serveReport } from './serve.ts'

/** Serves a run's page if `watch` asks for it: true, or a port. Prints where. A page that cannot be
 *  served is told, and does not keep the training from going on. */
export async function servedWhile(
  dir: string,
  watch: boolean | number | undefined,
  progress: Progress,
): Promise<Served | null> {
  if (watch === undefined || watch === false) return null
  try {
    const served = await serveReport(dir, typeof watch === 'number' ? watch : PORT)
    progress.note(`watch the run at ${served.url}`, { url: served.url })
    return served
  } catch (error) {
    const why = reasonOf(error)
    progress.note(`the run cannot be watched: ${why}`)
    return null
  }
}

/** Serves the page of a run as its files are, until Ctrl-C. Returns the exit code. Throws Error in
 *  words. */
export async function watchRun(
  dir: string,
  { watch, json = false }: { readonly watch: boolean | number; readonly json?: boolean },
): Promise<number> {
  await readRun(dir) // refuses what is no run folder
  const { url, close } = await serveReport(dir, typeof watch === 'number' ? watch : PORT)
  const words = `watch ${dir} at ${url}; Ctrl-C ends it`
  console.log(json ? jsonLine({ event: 'watch', url }) : printableLines(words))
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, resolve)
    onLostOutput(resolve)
  })
  if (!isOutputLost()) await close()
  return 0
}
