// kindred train, kindred demo: opens the data, the GPU and the run folder, trains, and tells what came of it.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Split } from '../data/dataset.ts'
import { steps } from '../data/loader.ts'
import { DeviceLostError } from '../engine/errors.ts'
import type { Gpu } from '../engine/gpu.ts'
import { UsageError } from './choice.ts'
import { type AnyConfig, type RunFlags, type TrainFlags, configOf, fittingBatch } from './config.ts'
import type { Resident } from './feed.ts'
import { closeImages, openImages, skippedOf } from './images.ts'
import { knnRows } from './knn.ts'
import { effectOf, openRunGpu } from './precision.ts'
import { type Method, methods } from './presets.ts'
import { type Progress, startProgress } from './progress.ts'
import { writeReport } from './report.ts'
import { type RunFolder, createRun, openRun, resumeRun } from './run-folder.ts'
import { type Manner, type Outcome, type Prepared, Training, prepare, trainingImages } from './train.ts'
import { version } from './version.ts'

/** What every training takes besides its settings. */
export interface PlaceFlags {
  readonly out?: string
  readonly resume?: string | true
  readonly adapter?: string
  /** False runs steps one by one instead of replaying them. */
  readonly capture?: boolean
  /** Whether the training images lie on the GPU. */
  readonly resident?: Resident
  readonly json?: boolean
}

export type CommandFlags = TrainFlags & PlaceFlags

const INTERRUPTED = 130

/** A method as the command line trains it. */
export interface Trainable<Flags extends RunFlags, Config extends AnyConfig> {
  readonly name: Config['method']
  readonly title: string
  /** The model, in words. */
  readonly describe: (config: Config) => string
  readonly configOf: (flags: Flags, software: boolean) => Config
  readonly prepare: (gpu: Gpu, config: Config, data: Split, manner?: Manner) => Promise<Prepared>
}

/** Trains by a method of those that share their encoders, as `trainAs`. */
export const trainMethod = (method: Method, flags: CommandFlags): Promise<number> =>
  trainAs(
    {
      name: method,
      title: methods[method].title,
      describe: ({ model }) => `${model.name} of width ${model.width}`,
      configOf: (given: TrainFlags, software) => configOf(method, given, software),
      prepare,
    },
    flags,
  )

/** Trains from the start, or from a run's last checkpoint, and returns the exit code. Throws Error in one line. */
export async function trainAs<Flags extends RunFlags, Config extends AnyConfig>(
  method: Trainable<Flags, Config>,
  flags: Flags & PlaceFlags,
): Promise<number> {
  const resuming = folderToResume(flags)
  const saved = resuming === null ? null : await savedConfig(method, resuming)
  const progress = startProgress({ json: flags.json ?? false })
  const draft = saved ?? method.configOf(flags, false)
  const data = await openImages(draft, progress) // what is wrong with the data is told before a GPU is looked for
  try {
    const batch = batchFor(draft, flags, data)
    steps(trainingImages(draft, data), { batch }) // throws when there is not one
    const gpu = await openRunGpu(flags.adapter, draft)
    try {
      const config = saved ?? method.configOf({ ...flags, batch }, gpu.software)
      const prepared = await method.prepare(gpu, config, data, flags)
      const run =
        resuming === null
          ? await createRun(flags.out ?? nextFree(config), described(config, gpu))
          : await resumeRun(resuming)
      return await train(`${method.title}: ${method.describe(config)}`, prepared, { run, data, progress })
    } finally {
      gpu.destroy()
    }
  } finally {
    progress.stop()
    await closeImages(data)
  }
}

/** The batch that the flags or the run name, or one that fits the data. */
const batchFor = (
  { batch, subset }: AnyConfig,
  flags: RunFlags & PlaceFlags,
  { train: { size } }: Split,
): number =>
  flags.batch ?? (flags.resume === undefined ? fittingBatch(batch, Math.min(size, subset ?? size)) : batch)

interface Place {
  readonly run: RunFolder
  readonly data: Split
  readonly progress: Progress
}

async function train(what: string, prepared: Prepared, place: Place): Promise<number> {
  const { run, progress } = place
  const stop = { requested: false }
  const release = onInterrupt(stop, progress)
  try {
    introduce(what, prepared, place)
    const outcome = await new Training(prepared, run, progress, stop).finish()
    await writeReport(run.dir)
    progress.stop()
    tell(outcome, prepared, run, progress)
    return outcome.finished ? 0 : INTERRUPTED
  } catch (error) {
    if (!(error instanceof DeviceLostError)) throw error
    const remedy = `the last checkpoint is intact; go on with: kindred train ${prepared.config.method} --resume ${run.dir}`
    throw new Error(`${error.message}; ${remedy}`, { cause: error })
  } finally {
    release()
    await run.close()
  }
}

/** The run that --resume means, or null. Throws UsageError for flags that a resumed run cannot take. */
function folderToResume({
  resume,
  out,
  json: _json,
  adapter: _adapter,
  shuffle = true, // commander always gives it
  capture: _capture,
  resident: _resident,
  ...others
}: PlaceFlags & { readonly shuffle?: boolean }): string | null {
  if (resume === undefined) return null
  const dir = resume === true ? out : resume
  if (dir === undefined) throw new UsageError('--resume: name the run folder, as in --resume runs/a')
  const [extra] = [...Object.keys(others), ...(shuffle ? [] : ['noShuffle'])]
  if (extra !== undefined)
    throw new UsageError(`--resume goes on with the run's own settings; leave out --${dashed(extra)}`)
  return dir
}

const dashed = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

async function savedConfig<Config extends AnyConfig>(
  { name, title }: Pick<Trainable<never, Config>, 'name' | 'title'>,
  dir: string,
): Promise<Config> {
  const { config } = await openRun(dir)
  if (config['method'] !== name)
    throw new Error(`${dir}: config.json is not of a ${title} run, its method is ${String(config['method'])}`)
  return config as unknown as Config // written by `described`
}

/** The first of runs/<method>-<data>-1, -2, ... that does not exist. */
function nextFree({ method, data, preset }: AnyConfig): string {
  const name = preset === 'simclr-demo' ? 'demo' : `${method}-${data.split(':')[0] ?? 'run'}`
  for (let n = 1; ; n++) {
    const dir = join('runs', `${name}-${n}`)
    if (!existsSync(dir)) return dir
  }
}

/** The configuration and what it runs on, as config.json holds them. */
const described = (config: AnyConfig, gpu: Gpu) => ({
  ...config,
  about: { kindred: version(), node: process.version, adapter: adapterOf(gpu) },
})

function adapterOf({ device }: Gpu): string {
  const { description, architecture, vendor } = device.adapterInfo
  return description || architecture || vendor
}

function introduce(
  what: string,
  { config, gpu, images, stepsPerEpoch }: Prepared,
  { run, data, progress }: Place,
) {
  const { batch, epochs, seed } = config
  const chunk = config.chunk ?? batch
  const cut = chunk < batch ? ` in chunks of ${chunk}` : ''
  const total = epochs * stepsPerEpoch
  progress.start(total)
  progress.note(
    `${what} on ${images.size} images of ${images.name}, batch ${batch}${cut}, ${epochs} epochs (${total} steps), seed ${seed}`,
  )
  const adapter = adapterOf(gpu)
  const kind = gpu.software ? ' (a CPU: fine for small models; see kindred doctor)' : ''
  progress.note(`on ${adapter}${kind}, into ${run.dir}`)
  const { precision, activations } = gpu.run
  if (precision !== 'f32')
    progress.note(`precision ${precision}: ${effectOf(precision, gpu.run)}; the loss is scaled`)
  if (activations === 'f16') progress.note('activations f16: halves are kept for the backward pass')
  const { adapter: first } = (run.config['about'] ?? {}) as { adapter?: string } // as `described` wrote it
  if (first !== undefined && first !== adapter)
    progress.note(`the run began on ${first}: from here on its bits will differ, its quality not`)
  if (config.method === 'moco' && config.queue !== null && config.queue > images.size)
    progress.note(
      `the queue's ${config.queue} keys are more than the ${images.size} images: old keys of a query's own image are among its negatives; a smaller --queue avoids that`,
    )
  const left = skippedOf(data).length
  if (left > 0)
    progress.note(`${left} ${left === 1 ? 'file was' : 'files were'} skipped`, { skippedFiles: left })
}

/** Ctrl-C once finishes the step and saves; twice ends at once. Returns what takes the handler away again. */
function onInterrupt(stop: { requested: boolean }, progress: Progress): () => void {
  const interrupt = () => {
    if (stop.requested) process.exit(INTERRUPTED)
    stop.requested = true
    progress.note('stopping after this step and saving; Ctrl-C again to stop without saving')
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  return () => {
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
}

function tell(outcome: Outcome, { config, probe }: Prepared, run: RunFolder, progress: Progress) {
  if (!outcome.finished) {
    progress.note(
      `stopped and saved at step ${outcome.step} of ${outcome.steps}; go on with: kindred train ${config.method} --resume ${run.dir}`,
      { run: run.dir, ...outcome },
    )
    return
  }
  const lines = [`done: ${outcome.steps} steps, last loss ${outcome.loss?.toFixed(4) ?? '-'}`]
  if (probe)
    lines.push(
      '',
      `kNN top-1 (k ${probe.k}, ${probe.bank.size} neighbours to choose from, ${probe.queries.size} test images)`,
      ...knnRows(outcome),
      '',
    )
  lines.push(`run folder: ${run.dir} (report.html shows the curves)`)
  progress.note(lines.join('\n'), { run: run.dir, ...outcome })
}
