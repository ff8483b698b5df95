// kindred train, kindred demo: opens the data, the GPU and the run folder, trains, and prints the
// outcome.

import { rmdir } from 'node:fs/promises'
import type { Dataset } from '../data/dataset.ts'
import { counted } from '../data/words.ts'
import { countSteps } from '../data/loader.ts'
import { DeviceLostError } from '../engine/errors.ts'
import type { Gpu } from '../engine/gpu.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import { methodOf } from '../methods/registry.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import type { ConfigOptions } from '../training/config.ts'
import { type InitFile, type InitFlags, begun, readInit } from './carry/init.ts'
import { sourceOf } from './data-source.ts'
import { closeImages, openRunImages, settledImages } from './images.ts'
import { INTERRUPTED, onInterrupt, say } from './interrupt.ts'
import { type RunPlace, adapterOf, introduce } from './introduce.ts'
import { resumeCommand } from './command.ts'
import type { Changes } from '../training/history.ts'
import { type OverrideFlags, type Settled, readOverrides, settled, withFile } from './overrides.ts'
import { knnRows } from '../training/knn.ts'
import { type PlaceFlags, checkPlace, folderToResume, makeNextFree, savedRun } from './place.ts'
import { openRunGpu } from './gpu-options.ts'
import type { Progress } from '../training/progress.ts'
import { startProgress } from './progress.ts'
import { usualPoints } from './report/measure.ts'
import { keepMeasured } from './report/keep.ts'
import { writeEvents } from './report/tensorboard.ts'
import { timed } from './report/timings.ts'
import { servedWhile } from './report/watch.ts'
import { writeReport } from './report/write.ts'
import { goingOn } from './resume.ts'
import { checkRoom } from './room.ts'
import { type RunFolder, beginRun, continueRun } from './runs.ts'
import type { Outcome } from '../training/outcome.ts'
import { type Prepared, measuredModel, prepare, trainingImages } from '../training/prepare.ts'
import { Training } from '../training/training.ts'
import { kindredVersion } from './version.ts'

export type CommandFlags = ConfigOptions & PlaceFlags & OverrideFlags & InitFlags

/** Trains by a method of the registry, from step 0 or from a run's newest checkpoint. Returns the
 *  exit code. Throws Error in one line. */
export async function trainMethod(name: string, flags: CommandFlags): Promise<number> {
  const method = methodOf(name)
  const resuming = folderToResume(flags)
  const old = resuming === null ? null : await savedRun(method, resuming)
  const saved = old && goingOn(old.config, flags, old.name)
  const overrides = await readOverrides(name, flags)
  const settings = withFile(flags, overrides)
  const settle = (given: CommandFlags, software: boolean): Settled =>
    saved ? { config: saved, changes: {} } : settled(name, given, software, overrides)
  const draft = settle(settings, false).config
  await checkPlace(draft, flags, old)
  const init = await readInit(flags)
  const progress = startProgress({ json: flags.json ?? false })
  let data = await openRunImages(draft, progress) // refuses bad data before a GPU opens
  try {
    const images = trainingImages(draft, data)
    const given = { ...settings, images: images.size }
    if (resuming !== null) checkEnough(resuming, draft, images)
    countSteps(images, settle(given, false).config) // throws if there is no step
    const gpu = await openRunGpu(flags, draft)
    try {
      const { config, changes } = settle(given, gpu.software)
      data = await settledImages(data, draft, config, progress)
      checkRoom(gpu, config, trainingImages(config, data), flags.resident, {
        resuming: resuming !== null,
      })
      const prepared = begun(await prepare(gpu, config, data, flags), init, progress)
      const place = await placed(prepared, { resuming, init, out: flags.out, changes })
      return await train(`${method.title}: ${method.describe(config)}`, place.prepared, {
        ...{ run: place.run, data, progress, changes, resumed: resuming !== null },
        ...{ watch: flags.watch, tensorboard: flags.tensorboard },
      })
    } finally {
      gpu.destroy()
    }
  } finally {
    progress.stop()
    await closeImages(data)
  }
}

/** Throws Error if a resumed run has fewer images than its batch, which cannot change. */
function checkEnough(dir: string, { batch }: TrainConfig, { size }: Dataset) {
  if (size >= batch) return
  throw new Error(
    `${dir}: its steps take ${batch} images each, and the data set holds ` +
      `${counted(size, 'image')} now; give the data set that it was trained on as --data, or ` +
      'start a new run',
  )
}

interface Placing {
  readonly init: InitFile | null
  readonly resuming: string | null
  readonly out: string | undefined
  /** Settings that differ from the preset's. */
  readonly changes: Changes
}

/** Opens or makes the run's folder and locks it. Names the images by their path relative to the
 *  folder too. */
async function placed(
  prepared: Prepared,
  { resuming, init, out, changes }: Placing,
): Promise<{ readonly run: RunFolder; readonly prepared: Prepared }> {
  if (resuming !== null) return { run: await continueRun(resuming), prepared }
  const dir = out ?? (await makeNextFree(prepared.config))
  const config = { ...prepared.config, ...sourceOf(prepared.config.data, dir) }
  const run = await beginRun(dir, described(config, prepared.gpu, changes, init)).catch(
    async (error: unknown) => {
      if (out === undefined) await rmdir(dir).catch(() => undefined) // made above, and empty
      throw error
    },
  )
  return { run, prepared: { ...prepared, config } }
}

/** How a run is shown while it trains. */
interface Showing {
  readonly watch: boolean | number | undefined
  readonly tensorboard: boolean | undefined
}

/** Trains, writes the report and prints the outcome. `resumed` is false for a new run. */
async function train(
  what: string,
  prepared: Prepared,
  { resumed, watch, tensorboard, ...place }: RunPlace & Showing & { readonly resumed: boolean },
): Promise<number> {
  const { run, progress } = place
  const stop = { requested: false }
  const release = onInterrupt(stop, progress)
  const page = await servedWhile(run.dir, watch, progress)
  const endEvents = tensorboard ? await writeEvents(run) : null
  try {
    const training = new Training(prepared, run, timed(progress, run), stop)
    await training.check()
    introduce(what, prepared, { ...place, resumed })
    const outcome = await training.finish({ resumed })
    if (outcome.finished) await keepTrained(prepared, run, progress)
    await writeReport(run.dir)
    progress.stop()
    printOutcome(outcome, prepared, run, progress)
    return outcome.finished ? 0 : INTERRUPTED
  } catch (error) {
    await writeReport(run.dir).catch(() => undefined) // the curves so far; the first error counts
    throw withRemedy(error, prepared, run)
  } finally {
    release()
    endEvents?.()
    await page?.close()
    await run.close()
  }
}

/** Adds the command that goes on to the error of a lost device. */
function withRemedy(error: unknown, { config }: Prepared, run: RunFolder): unknown {
  if (!(error instanceof DeviceLostError)) return error
  const remedy =
    'the last checkpoint is intact; go on with: ' + resumeCommand(config.method, run.dir)
  return new Error(`${error.message}; ${remedy}`, { cause: error })
}

/** Measures the finished encoder for the report. The training is done and saved: a failure is only
 *  told. */
async function keepTrained(prepared: Prepared, run: RunFolder, progress: Progress) {
  const { gpu, config, data, images, trainer } = prepared
  progress.note('measuring the trained encoder for report.html')
  await keepMeasured(gpu, run, {
    ...{ config, step: trainer.state.step, points: usualPoints(gpu) },
    data: { train: images, test: data.test },
    model: measuredModel(config, trainer),
  }).catch((error: unknown) => {
    const why = reasonOf(error)
    progress.note(`the report has curves only, as the encoder could not be measured: ${why}`)
  })
}

/** Returns the configuration with versions and adapter, as config.json holds them. */
const described = (config: TrainConfig, gpu: Gpu, changes: Changes, init: InitFile | null) => ({
  ...config,
  about: {
    ...{ kindred: kindredVersion(), node: process.version, adapter: adapterOf(gpu), changes },
    ...(init && { init: init.path }),
    ...(init?.prefix !== undefined && { initPrefix: init.prefix }),
  },
})

/** Prints the outcome: the accuracies, or the command that resumes. */
function printOutcome(
  outcome: Outcome,
  { config, probe }: Prepared,
  run: RunFolder,
  progress: Progress,
) {
  const result = { run: run.dir, ...outcome }
  if (!outcome.finished) {
    const { step, steps: total } = outcome
    const command = resumeCommand(config.method, run.dir)
    say(progress, `stopped and saved at step ${step} of ${total}; go on with: ${command}`, result)
    return
  }
  const lines = [
    `done: ${counted(outcome.steps, 'step')}, last loss ${outcome.loss?.toFixed(4) ?? '-'}`,
  ]
  if (probe)
    lines.push(
      '',
      `kNN top-1 (k ${probe.k}, ${counted(probe.bank.size, 'neighbour')} to choose from, ` +
        `${counted(probe.queries.size, 'test image')})`,
      ...knnRows(outcome),
      ...(outcome.probe === null
        ? []
        : [`linear probe on the same features: ${outcome.probe.toFixed(1)}%`]),
      '',
    )
  lines.push(`run folder: ${run.dir} (report.html shows it)`)
  say(progress, lines.join('\n'), result)
}
