// kindred report: the page of a run, measured anew where that is due.

import { networksOf } from '../../training/encoder.ts'
import { findSource } from '../data-source.ts'
import { checkpointOf, stepOf, trainingImagesOf } from '../eval-images.ts'
import { closeImages, openRunImages } from '../images.ts'
import { printableLines } from '../../kernels/printable.ts'
import { jsonLine } from '../output.ts'
import { runConfig } from '../place.ts'
import { type GpuFlags, openRunGpu } from '../gpu-options.ts'
import { startProgress } from '../progress.ts'
import { type RunFolder, readRun } from '../runs.ts'
import { keepMeasured } from './keep.ts'
import { usualPoints } from './measure.ts'
import { readMeasured } from './measured.ts'
import { watchRun } from './watch.ts'
import { writeReport } from './write.ts'

/** Options of kindred report. */
export interface ReportFlags extends GpuFlags {
  readonly data?: string
  /** Most images on the map. */
  readonly points?: number
  /** Serves the page instead, on a port of its own if given. */
  readonly watch?: boolean | number
  readonly json?: boolean
}

/** Writes report.html of a run, and returns the exit code. Measures the newest checkpoint if
 *  report.json is of another step or number of points. Throws Error in words. */
export async function report(dir: string, flags: ReportFlags): Promise<number> {
  const { watch, ...others } = flags
  if (watch !== undefined && watch !== false) return watchRun(dir, { ...others, watch })
  const run = await readRun(dir)
  const { checkpoint } = await run.latest()
  const kept = await readMeasured(dir)
  const isKept =
    kept !== null &&
    kept.step === stepOf(checkpoint?.metadata ?? {}) &&
    (flags.points === undefined || flags.points === kept.points)
  if (checkpoint && !isKept) await measureRun(run, flags)
  const path = await writeReport(dir)
  console.log(flags.json ? jsonLine({ event: 'report', path }) : printableLines(path))
  return 0
}

/** Measures the newest checkpoint of a run. Throws Error in words. */
async function measureRun(run: RunFolder, flags: ReportFlags) {
  const { data: given, points, json } = flags
  const config = runConfig(run)
  const saved = await checkpointOf(run, undefined)
  const progress = startProgress({ json: json ?? false })
  const gpu = await openRunGpu(flags, config)
  try {
    const source = given ?? findSource(config, run.dir)
    const { size, seed, views } = config
    const data = await openRunImages({ data: source, size, seed, views }, progress)
    const train = await trainingImagesOf(config, data, { data: given, metadata: saved.metadata })
    const { model, load } = networksOf(gpu, config)
    load(saved)
    await keepMeasured(gpu, run, {
      ...{ config, model, step: stepOf(saved.metadata) ?? 0, points: points ?? usualPoints(gpu) },
      data: { train, test: data.test },
    })
    await closeImages(data)
  } finally {
    progress.stop()
    gpu.destroy()
  }
}
