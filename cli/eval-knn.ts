// kindred eval knn: how well a run's encoder separates classes that it never saw, beside raw
// pixels.

import { counted } from '../data/words.ts'
import { methodOf } from '../methods/registry.ts'
import { recipeOf } from '../methods/views.ts'
import { loadModel } from '../models/state.ts'
import { choose } from '../training/choice.ts'
import { findSource } from './data-source.ts'
import { checkMeasurable, skippedOf } from './data-summary.ts'
import { checkpointOf, stepOf, trainingImagesOf } from './eval-images.ts'
import { closeImages, openRunImages } from './images.ts'
import { KnnProbe, knnRows, ofAll } from '../training/knn.ts'
import { measuredModel } from '../training/prepare.ts'
import { openRunGpu } from './precision.ts'
import { precisions } from '../methods/settings/words.ts'
import { startProgress } from './progress.ts'
import { runConfig } from './place.ts'
import { readRun } from './runs.ts'

export interface EvalKnnFlags {
  readonly data?: string
  readonly checkpoint?: string
  readonly k?: number
  readonly temperature?: number
  readonly bank?: number
  readonly queries?: number
  /** The run's by default. */
  readonly precision?: string
  readonly adapter?: string
  readonly json?: boolean
}

/** Prints kNN top-1 of raw pixels, the untrained and the trained encoder, and returns the exit
 *  code. Throws Error in words. */
export async function evalKnn(dir: string, flags: EvalKnnFlags): Promise<number> {
  const run = await readRun(dir)
  const config = runConfig(run)
  const found = await checkpointOf(run, flags.checkpoint)
  const precision = choose('--precision', flags.precision, precisions) ?? config.precision
  const progress = startProgress({ json: flags.json ?? false })
  const gpu = await openRunGpu(flags.adapter, { precision })
  try {
    const { size, seed, views } = config
    const images = { data: flags.data ?? findSource(config, dir), size, seed, views }
    const data = await openRunImages(images, flags.json ? silent : progress)
    checkMeasurable('eval knn', images.data, data)
    const { k, temperature, bank, queries } = flags
    const options = { ...config.knn, ...defined({ k, temperature, bank, queries }) }
    // the run's own set is measured as the run measured it
    const asked = { data: flags.data, metadata: found.metadata }
    const train = await trainingImagesOf(config, data, asked)
    checkMeasurable('eval knn', images.data, { train, test: data.test })
    const probe = new KnnProbe(gpu, { train, test: data.test }, recipeOf(config.views, 0), options)
    const method = methodOf(config.method)
    const encoder = method.encoder(gpu, config)
    const head = method.head(gpu, config, encoder.features)
    const model = measuredModel(config, { encoder, head })
    const pixels = await probe.ofPixels()
    const untrained = await probe.ofEncoder(model)
    loadModel(gpu, encoder, found.tensors)
    if (head && model !== encoder) loadModel(gpu, head, found.tensors)
    const trained = await probe.ofEncoder(model)
    const step = stepOf(found.metadata)
    const result = {
      run: dir,
      step,
      k: probe.k,
      temperature: options.temperature,
      bank: probe.bank.size,
      queries: probe.queries.size,
      pixels,
      untrained,
      trained,
      skippedFiles: skippedOf(data).length,
    }
    const note = ofAll(probe, options)
    progress.note(
      [
        ...(note ? [note] : []),
        `kNN top-1${step === null ? '' : ` at step ${step}`} (k ${probe.k}, temperature ${options.temperature}, ${counted(probe.bank.size, 'neighbour')} to choose from, ${counted(probe.queries.size, 'test image')})`,
        ...knnRows(result),
      ].join('\n'),
      result,
    )
    await closeImages(data)
    return 0
  } finally {
    gpu.destroy()
  }
}

/** Where notes go when one line of JSON is all that may be printed. */
const silent = { start() {}, update() {}, note() {}, stop() {} }

/** The entries that have a value. */
const defined = (entries: Record<string, number | undefined>) =>
  Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined))
