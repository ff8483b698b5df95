// The place of a training: its options, the run to resume, and the folder of a new run.

import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { codeOf, writeError } from '../engine/node-files.ts'
import { checkConfig } from '../training/check-config.ts'
import { checkNewRun, checkOldRun, checkWritable } from './runs.ts'
import type { Method } from '../methods/entry.ts'
import { UsageError } from '../training/choice.ts'
import { resumeCommand } from './command.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import type { Resident } from '../training/feed.ts'
import { checkSettings, checkTrained } from '../training/resumable.ts'
import type { Checkpoint } from '../training/storage.ts'
import type { GpuFlags } from './gpu-options.ts'
import type { ResumeFlags } from './resume.ts'
import { type RunFolder, optionOf, readRun } from './runs.ts'

const RUNS = 'runs' // the folder of runs without --out

/** Options of every training besides its settings. */
export interface PlaceFlags extends GpuFlags {
  readonly out?: string
  readonly resume?: string | true
  /** False runs steps one by one instead of replaying them. */
  readonly capture?: boolean
  /** Keeps the training images on the GPU: always, never, or where they fit. */
  readonly resident?: Resident
  readonly json?: boolean
  /** Serves the run's page, on a port of its own if given. */
  readonly watch?: boolean | number
  /** Writes event files of TensorBoard. */
  readonly tensorboard?: boolean
}

/** Returns the run folder of --resume, null without --resume. Throws UsageError for flags that a
 *  resumed run does not allow. */
export function folderToResume({
  resume,
  out,
  json: _json,
  watch: _watch,
  tensorboard: _tensorboard,
  adapter: _adapter,
  robustness: _robustness,
  shuffle = true, // commander sets it always
  capture: _capture,
  resident: _resident,
  data: _data,
  lr: _lr,
  epochs: _epochs,
  ...others
}: PlaceFlags & ResumeFlags & { readonly shuffle?: boolean }): string | null {
  if (resume === undefined) return null
  const dir = resume === true ? out : resume
  if (dir === undefined)
    throw new UsageError('--resume: name the run folder, as in --resume runs/a')
  if (out !== undefined && resolve(out) !== resolve(dir))
    throw new UsageError(
      '--out: must be the folder of --resume, where the run goes on, or left out, got ' +
        `${out} beside ${dir}`,
    )
  const [extra] = [...Object.keys(others), ...(shuffle ? [] : ['noShuffle'])]
  if (extra !== undefined)
    throw new UsageError(
      "--resume goes on with the run's own settings, but for --data, --lr and --epochs; " +
        `leave out --${dashed(extra)}`,
    )
  return dir
}

const article = (title: string) => (/^[aeiou]/i.test(title) ? 'an' : 'a')

const dashed = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

/** A run to resume. */
export interface ResumedRun {
  readonly name: string
  readonly nameOf: (setting: string) => string
  readonly config: TrainConfig
  /** Its newest checkpoint, without the tensors; null if there is none yet. */
  readonly checkpoint: Pick<Checkpoint, 'step' | 'metadata'> | null
}

/** Reads the run in `dir`. Throws Error with the right command for a run of another method and for
 *  an imported encoder, and in words for a run that is damaged or in use. */
export async function savedRun(
  { name, title }: Pick<Method, 'name' | 'title'>,
  dir: string,
): Promise<ResumedRun> {
  const run = await readRun(dir)
  const config = runConfig(run)
  await checkOldRun(dir)
  await run.metrics()
  const { checkpoint } = await run.latest()
  if (checkpoint) checkTrained(run, checkpoint)
  if (name !== config.method)
    throw new Error(
      `${dir}: config.json is not of ${article(title)} ${title} run, its method is ` +
        `${config.method}; go on with: ${resumeCommand(config.method, dir)}`,
    )
  const kept = checkpoint && { step: checkpoint.step, metadata: checkpoint.metadata }
  return { name: run.name, nameOf: optionOf, config, checkpoint: kept }
}

/** Throws Error in words if a run cannot begin or resume: its folder holds something else or cannot
 *  be written, or `config` has other settings than its checkpoint. Leaves no file behind. */
export async function checkPlace(
  config: TrainConfig,
  { out }: Pick<PlaceFlags, 'out'>,
  resuming: ResumedRun | null,
) {
  if (!resuming) await (out === undefined ? checkWritable(RUNS) : checkNewRun(out))
  else if (resuming.checkpoint) checkSettings(resuming, resuming.checkpoint, config)
}

/** Checks config.json of a run, and returns it. Throws Error with every wrong field. */
export const runConfig = (run: RunFolder): TrainConfig =>
  checkConfig(run.config, run.path('config.json'))

/** Makes the first of runs/<method>-<data>-1, -2, ... that does not exist. Several processes make
 *  one each. */
export async function makeNextFree({ method, data, preset }: TrainConfig): Promise<string> {
  const name = preset === 'simclr-demo' ? 'demo' : `${method}-${data.split(':')[0] ?? 'run'}`
  try {
    await mkdir(RUNS, { recursive: true })
    for (let n = 1; ; n++) {
      const dir = join(RUNS, `${name}-${n}`)
      if (await makes(dir)) return dir
    }
  } catch (cause) {
    throw writeError(RUNS, cause)
  }
}

/** Makes a folder. Returns false if it exists. */
async function makes(dir: string): Promise<boolean> {
  try {
    await mkdir(dir)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}
