// report.html of a run, made of the files of its folder alone.

import { basename, resolve } from 'node:path'
import { writeAtomic } from '../../engine/node-files.ts'
import { utf8 } from '../../run-folder/run-config.ts'
import { command } from '../command.ts'
import { type RunFolder, readRun } from '../runs.ts'
import { chartsOf } from './curves.ts'
import { figuresOf, subtitleOf, warningsOf } from './figures.ts'
import { type Measured, readMeasured } from './measured.ts'
import { page } from './page.ts'
import { sectionsOf } from './sections.ts'
import { settingsPart } from './settings.ts'
import { readTimings } from './timings.ts'

/** Makes the page of a run from the files of its folder. Throws Error in words. */
export async function reportPage(
  run: RunFolder,
  { isLive = false, measured }: { isLive?: boolean; measured?: Measured | null } = {},
): Promise<string> {
  const known = {
    config: run.config,
    metrics: await run.metrics(),
    timings: await readTimings(run),
    measured: measured === undefined ? await readMeasured(run.dir) : measured,
  }
  return page({
    title: basename(resolve(run.dir)),
    subtitle: subtitleOf(known),
    warnings: warningsOf(known, command('report', run.dir)),
    figures: figuresOf(known),
    charts: chartsOf(known.metrics, known.timings),
    sections: known.measured ? sectionsOf(known.measured) : [],
    settings: settingsPart(run.config),
    map: known.measured?.map ? { ...known.measured.map, classes: known.measured.classes } : null,
    isLive,
  })
}

/** Writes report.html from the files of the run folder. Resolves to its path. Throws Error in
 *  words. */
export async function writeReport(dir: string): Promise<string> {
  const run = await readRun(dir)
  const path = run.path('report.html')
  await writeAtomic(path, utf8(await reportPage(run)), { retry: run.retry })
  return path
}
