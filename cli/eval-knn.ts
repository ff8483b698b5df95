// kindred eval knn: kNN accuracy of a run's encoder, of its initial weights and of raw pixels.

import { counted } from '../data/words.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { SafetensorsFile } from '../engine/safetensors.ts'
import { recipeOf } from '../methods/views.ts'
import { choose } from '../training/choice.ts'
import { findSource } from './data-source.ts'
import { checkMeasurable, skippedOf } from './data-summary.ts'
import { checkpointOf, stepOf, trainingImagesOf } from './eval-images.ts'
import { closeImages, openRunImages } from './images.ts'
import { KnnProbe, type KnnSettings, knnRows, ofAll } from '../training/knn.ts'
import { networksOf } from '../training/encoder.ts'
import { type GpuFlags, openRunGpu } from './gpu-options.ts'
import { precisions } from '../methods/settings/words.ts'
import type { Progress } from '../training/progress.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { startProgress } from './progress.ts'
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
  /** Arithmetic; the run's by default. */
  readonly precision?: string
  readonly json?: boolean
}

/** Prints the kNN top-1 of raw pixels, of the untrained and of the trained encoder, and returns the
 *  exit code. Throws Error in words. */
export async function evalKnn(dir: string, flags: EvalKnnFlags): Promise<number> {
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
    const options = { ...config.knn, ...defined({ k, temperature, bank, queries }) }
    const probe = new KnnProbe(gpu, { train, test: data.test }, recipeOf(views, 0), options)
    const accuracies = await measured(gpu, config, probe, saved)
    const skippedFiles = skippedOf(data).length
    report(
      probe,
      options,
      { run: dir, step: stepOf(saved.metadata), ...accuracies, skippedFiles },
      progress,
    )
    await closeImages(data)
    return 0
  } finally {
    gpu.destroy()
  }
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
  { tensors }: SafetensorsFile,
): Promise<Accuracies> {
  const { model, load } = networksOf(gpu, config)
  const pixels = await probe.ofPixels()
  const untrained = await probe.ofEncoder(model)
  load(tensors)
  return { pixels, untrained, trained: await probe.ofEncoder(model) }
}

interface Result extends Accuracies {
  readonly run: string
  /** Step of the checkpoint; null if the file has none. */
  readonly step: number | null
  readonly skippedFiles: number
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
      ...knnRows(result),
    ].join('\n'),
    { run, step, k, temperature, bank: bank.size, queries: queries.size, ...result },
  )
}

/** Drops all notes, so that one line of JSON is printed and nothing else. */
const silent = { start() {}, update() {}, note() {}, stop() {} }

/** Returns the entries that have a value. */
const defined = (entries: Record<string, number | undefined>) =>
  Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined))
