// kindred eval knn: kNN accuracy of a run's encoder, of its initial weights and of raw pixels.

import { counted } from '../data/words.ts'
import type { Gpu } from '../engine/gpu.ts'
import { recipeOf } from '../methods/views.ts'
import { UsageError, choose } from '../training/choice.ts'
import { findSource } from './data-source.ts'
import { checkMeasurable, skippedOf } from './data-summary.ts'
import { checkpointOf, stepOf, trainingImagesOf } from './eval-images.ts'
import { type EvalReport, reportLines } from './eval-report.ts'
import { chosenFor, knnReport, voteOf } from './knn-report.ts'
import type { ChosenNeighbours } from '../evaluate/choose-neighbours.ts'
import { closeImages, openRunImages } from './images.ts'
import { KnnProbe, type KnnSettings, knnRows, ofAll } from '../training/knn.ts'
import { networksOf } from '../training/encoder.ts'
import { type GpuFlags, openRunGpu } from './gpu-options.ts'
import { precisions } from '../methods/settings/words.ts'
import type { Progress } from '../training/progress.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { startProgress } from './progress.ts'
import type { LoadedFile } from '../run-folder/saved-encoder.ts'
import { runConfig } from './place.ts'
import { readRun } from './runs.ts'

/** Options of kindred eval knn. */
export interface EvalKnnFlags extends GpuFlags {
  readonly data?: string
  readonly checkpoint?: string
  readonly k?: number
  readonly temperature?: number
  readonly bank?: number
  readonly queries?: number
  /** True chooses k and temperature on held-out training images. */
  readonly choose?: boolean
  /** True prints how well each class is told, and what the features are like. */
  readonly report?: boolean
  /** Arithmetic; the run's by default. */
  readonly precision?: string
  readonly json?: boolean
}

/** Prints the kNN top-1 of raw pixels, of the untrained and of the trained encoder, and returns the
 *  exit code. Throws Error in words. */
export async function evalKnn(dir: string, flags: EvalKnnFlags): Promise<number> {
  checkChoice(flags)
  const run = await readRun(dir)
  const config = runConfig(run)
  const saved = await checkpointOf(run, flags.checkpoint)
  const precision = choose('--precision', flags.precision, precisions) ?? config.precision
  const progress = startProgress({ json: flags.json ?? false })
  const gpu = await openRunGpu(flags, { precision })
  try {
    const { size, seed, views } = config
    const source = flags.data ?? findSource(config, dir)
    const data = await openRunImages(
      { data: source, size, seed, views },
      flags.json ? silent : progress,
    )
    checkMeasurable('eval knn', source, data)
    // the run's own set is measured as the run measured it
    const origin = { data: flags.data, metadata: saved.metadata }
    const train = await trainingImagesOf(config, data, origin)
    checkMeasurable('eval knn', source, { train, test: data.test })
    const { k, temperature, bank, queries } = flags
    const asked = { ...config.knn, ...defined({ k, temperature, bank, queries }) }
    const halves = { train, test: data.test }
    const subject = { gpu, config, halves, saved }
    const chosen = flags.choose ? { chosen: await chosenFor(subject, asked) } : {}
    const options = { ...asked, ...(chosen.chosen && voteOf(chosen.chosen)) }
    const probe = new KnnProbe(gpu, halves, recipeOf(views, 0), options)
    const accuracies = await measured(gpu, config, probe, saved)
    const more = flags.report ? { report: await knnReport(subject, options) } : {}
    const counts = { skippedFiles: skippedOf(data).length }
    const about = { run: dir, step: stepOf(saved.metadata) }
    report(probe, options, { ...about, ...accuracies, ...counts, ...chosen, ...more }, progress)
    await closeImages(data)
    return 0
  } finally {
    gpu.destroy()
  }
}

/** Throws UsageError for a k or temperature beside --choose. */
function checkChoice({ choose: chosen, k, temperature }: EvalKnnFlags) {
  const given = k !== undefined ? '--k' : temperature !== undefined ? '--temperature' : null
  if (chosen && given)
    throw new UsageError(`--choose finds k and temperature; leave out ${given} or --choose`)
}

/** Accuracies in percent. */
interface Accuracies {
  readonly pixels: number
  readonly untrained: number
  readonly trained: number
}

/** Measures raw pixels, the encoder with initial weights and the encoder of the checkpoint. */
async function measured(
  gpu: Gpu,
  config: TrainConfig,
  probe: KnnProbe,
  saved: LoadedFile,
): Promise<Accuracies> {
  const { model, load } = networksOf(gpu, config)
  const pixels = await probe.ofPixels()
  const untrained = await probe.ofEncoder(model)
  load(saved)
  return { pixels, untrained, trained: await probe.ofEncoder(model) }
}

interface Result extends Accuracies {
  readonly run: string
  /** Step of the checkpoint; null if the file has none. */
  readonly step: number | null
  readonly skippedFiles: number
  /** What --choose found. */
  readonly chosen?: ChosenNeighbours
  /** What --report adds, of the trained encoder. */
  readonly report?: EvalReport
}

/** Prints the table of a result. */
function report(
  probe: KnnProbe,
  options: KnnSettings,
  { run, step, ...result }: Result,
  progress: Progress,
) {
  const { k, bank, queries } = probe
  const { temperature } = options
  const note = ofAll(probe, options)
  const at = step === null ? '' : ` at step ${step}`
  progress.note(
    [
      ...(note ? [note] : []),
      `kNN top-1${at} (k ${k}, temperature ${temperature}, ${counted(bank.size, 'neighbour')} ` +
        `to choose from, ${counted(queries.size, 'test image')})`,
      ...(result.chosen
        ? [
            'k and temperature were chosen on a fifth of the neighbours held out, ' +
              `${result.chosen.heldOut.toFixed(1)}% of them`,
          ]
        : []),
      ...knnRows(result),
      ...(result.report ? reportLines(result.report) : []),
    ].join('\n'),
    { run, step, k, temperature, bank: bank.size, queries: queries.size, ...result },
  )
}

/** Drops all notes, so that one line of JSON is printed and nothing else. */
const silent = { start() {}, update() {}, note() {}, stop() {} }

/** Returns the entries that have a value. */
const defined = (entries: Record<string, number | undefined>) =>
  Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined))
