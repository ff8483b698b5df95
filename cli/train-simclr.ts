// kindred train simclr, kindred demo: opens the data, the GPU and the run folder, trains, and tells what came of it.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Split } from '../data/dataset.ts'
import { openData } from '../data/open.ts'
import { DeviceLostError } from '../engine/errors.ts'
import type { Gpu } from '../engine/gpu.ts'
import { openGpu } from '../engine/node.ts'
import { type TrainConfig, type TrainFlags, UsageError, configOf } from './config.ts'
import { type Progress, startProgress } from './progress.ts'
import { writeReport } from './report.ts'
import { type RunFolder, createRun, openRun, resumeRun } from './run-folder.ts'
import { type Outcome, Training } from './train.ts'
import { version } from './version.ts'

export interface SimclrFlags extends TrainFlags {
  readonly out?: string
  readonly resume?: string | true
  readonly adapter?: string
  readonly json?: boolean
}

const INTERRUPTED = 130

/** Trains from the start, or from a run's last checkpoint, and returns the exit code. Throws Error in one line. */
export async function trainSimclr(flags: SimclrFlags): Promise<number> {
  const resuming = folderToResume(flags)
  const saved = resuming === null ? null : ((await openRun(resuming)).config as unknown as TrainConfig) // as we wrote it
  const gpu = await openGpu(flags.adapter === undefined ? {} : { adapter: flags.adapter })
  try {
    const config = saved ?? configOf(flags, gpu.software)
    const progress = startProgress({ json: flags.json ?? false })
    const data = await open(config, progress)
    const dir = resuming ?? flags.out ?? nextFree(config)
    const make = async () => (resuming === null ? createRun(dir, described(config, gpu)) : resumeRun(dir))
    return await train({ gpu, config, data, progress, make })
  } finally {
    gpu.destroy()
  }
}

interface Parts {
  readonly gpu: Gpu
  readonly config: TrainConfig
  readonly data: Split
  readonly progress: Progress
  readonly make: () => Promise<RunFolder>
}

async function train({ gpu, config, data, progress, make }: Parts): Promise<number> {
  const stop = { requested: false }
  const training = new Training({ gpu, config, data, progress, stop }) // before there is a folder: what is wrong is told first
  const run = await make()
  const release = onInterrupt(stop, progress)
  try {
    const outcome = await training.run(run)
    await writeReport(run.dir)
    tell(outcome, run, progress)
    return outcome.finished ? 0 : INTERRUPTED
  } catch (error) {
    if (!(error instanceof DeviceLostError)) throw error
    throw new Error(
      `${error.message}; the last checkpoint is intact: go on with kindred train simclr --resume ${run.dir}`,
      { cause: error },
    )
  } finally {
    release()
    progress.stop()
    await run.close()
    await Promise.all([data.train.close?.(), data.test.close?.()])
  }
}
