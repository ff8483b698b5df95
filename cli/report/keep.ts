// Measures a run for its report, and keeps what is measured in report.json.

import { writeAtomic } from '../../engine/node-files.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { utf8 } from '../../run-folder/run-config.ts'
import type { RunFolder } from '../runs.ts'
import { type Reported, measureReport } from './measure.ts'
import { measuredPath } from './measured.ts'

/** Measures an encoder and writes report.json. Throws Error in words. */
export async function keepMeasured(gpu: Gpu, run: RunFolder, subject: Reported) {
  const measured = await measureReport(gpu, subject)
  const bytes = utf8(`${JSON.stringify(measured)}\n`)
  await writeAtomic(measuredPath(run.dir), bytes, { retry: 'try again' })
}
