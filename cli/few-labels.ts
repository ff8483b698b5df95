// kindred eval finetune, kindred eval few-labels: what a run's encoder is worth when few labels are
// known. Each training is a cell, kept in a file, so that the same command goes on.

import { join } from 'node:path'
import { labelled } from '../data/select.ts'
import type { Gpu } from '../engine/gpu.ts'
import { writeAtomic } from '../engine/node-files.ts'
import type { Model } from '../models/model.ts'
import { loadModel } from '../models/state.ts'
import { utf8 } from '../run-folder/run-config.ts'
import { UsageError } from '../training/choice.ts'
import { type InitFlags, loadWeights, readInit } from './carry/init.ts'
import { absoluteSource, findSource } from './data-source.ts'
import { command } from './command.ts'
import { checkMeasurable } from './data-summary.ts'
import { checkpointOf, stepOf, trainingImagesOf } from './eval-images.ts'
import { arms, cellFile } from './few-label-cells.ts'
import { fewLabelPage } from './few-label-page.ts'
import { cellName, resultsOf } from './few-label-results.ts'
import { spreads, tableLines } from './few-label-table.ts'
import type { FewLabels } from './few-label-training.ts'
import { type GpuFlags, openRunGpu } from './gpu-options.ts'
import { closeImages, openRunImages } from './images.ts'
import type { LabelPart } from './label-parts.ts'
import { runConfig } from './place.ts'
import { startProgress } from './progress.ts'
import { flat } from './report/settings.ts'
import { type RunFolder, readRun } from './runs.ts'

const RATES = [3e-4, 1e-3, 3e-3, 1e-2] // to choose from

/** Options of both commands. `init` is a file whose encoder is used instead of the run's. */
export interface FewLabelFlags extends GpuFlags, InitFlags {
  readonly data?: string
  readonly checkpoint?: string
  readonly out?: string
  readonly steps?: number
  readonly batch?: number
  readonly lr?: readonly number[]
  readonly weightDecay?: number
  readonly json?: boolean
}

/** Options of kindred eval finetune. */
export interface FineTuneFlags extends FewLabelFlags {
  readonly labels?: LabelPart
  readonly seed?: number
  /** True begins with new weights, for comparison. */
  readonly scratch?: boolean
}

/** Options of kindred eval few-labels. */
export interface TableFlags extends FewLabelFlags {
  readonly labels?: readonly LabelPart[]
  /** Number of seeds, from 0 on. */
  readonly seeds?: number
}

/** Trains one network on few labels, prints its accuracy, and returns the exit code. Throws Error
 *  in words. */
export function evalFineTune(dir: string, flags: FineTuneFlags): Promise<number> {
  const { labels: part = { fraction: 0.1 }, seed = 0, scratch = false } = flags
  if (scratch && flags.init !== undefined)
    throw new UsageError('--scratch begins with new weights; leave out --init or --scratch')
  const arm = scratch ? 'from scratch' : 'fine-tuned'
  return withFewLabels({ dir, name: 'eval finetune' }, flags, async (few, out) => {
    const cell = { arm, part, seed } as const
    const network = cellFile(out, cell, 'safetensors')
    for (const result of await resultsOf(few, out, [cell], { networks: true })) {
      const { accuracy, indices, lr } = result
      const probe = lr === 0 ? ': the linear probe, not trained further' : ''
      few.progress.note(
        `${cellName(cell, indices.length)}: ${accuracy.toFixed(2)}% of ${few.test.size} test ` +
          `images, at learning rate ${lr}${probe}\n` +
          `the network is ${network}; try: ${command('classify', network, 'IMAGE')}`,
        { run: dir, network, ...result },
      )
    }
  })
}

/** Trains the cells of the table that are missing, prints it, writes few-labels.html, and returns
 *  the exit code. Throws Error in words. */
export function evalFewLabels(dir: string, flags: TableFlags): Promise<number> {
  const { labels: parts = [{ fraction: 0.01 }, { fraction: 0.1 }], seeds = 3 } = flags
  return withFewLabels({ dir, name: 'eval few-labels' }, flags, async (few, out) => {
    const cells = parts.flatMap((part) =>
      Array.from({ length: seeds }, (_, seed) => arms.map((arm) => ({ arm, part, seed }))).flat(),
    )
    const rows = spreads(await resultsOf(few, out, cells))
    const html = fewLabelPage(rows, flat({ ...few.settings, seeds }))
    const path = join(out, 'few-labels.html')
    await writeAtomic(path, utf8(html))
    const text = [...tableLines(rows, few.test.size), '', `${path} shows the curves`].join('\n')
    few.progress.note(text, { run: dir, seeds, settings: few.settings, rows })
  })
}

/** Opens the run, its images and the GPU, runs `work`, and closes them. */
async function withFewLabels(
  { dir, name }: { readonly dir: string; readonly name: string },
  flags: FewLabelFlags,
  work: (few: FewLabels, out: string) => Promise<void>,
): Promise<number> {
  const run = await readRun(dir)
  const config = runConfig(run)
  const weights = await weightsOf(run, flags)
  const progress = startProgress({ json: flags.json ?? false })
  const gpu = await openRunGpu(flags, { precision: config.precision })
  try {
    const { size, seed, views } = config
    const data = flags.data ?? findSource(config, dir)
    const split = await openRunImages({ data, size, seed, views }, progress)
    checkMeasurable(name, data, split)
    const origin = { data: flags.data, metadata: weights.metadata }
    const train = labelled(await trainingImagesOf(config, split, origin))
    const test = labelled(split.test)
    const { steps = 200, batch = 64, lr = RATES, weightDecay = 1e-4 } = flags
    const rates = [...new Set(lr)].sort((a, b) => a - b)
    const budget = {
      steps,
      batch,
      lr: rates.join(),
      weightDecay,
      views: 'mild crop and flip',
    } as const
    const source = flags.data === undefined ? config.data : absoluteSource(flags.data)
    const settings = { weights: weights.name, data: source, testImages: test.size, ...budget }
    await work(
      { gpu, config, settings, rates, load: (m) => weights.load(gpu, m), train, test, progress },
      flags.out ?? run.path('few-labels'),
    )
    await closeImages(split)
    return 0
  } finally {
    progress.stop()
    gpu.destroy()
  }
}

/** Reads the learned weights: the run's checkpoint, or the file of --init. */
async function weightsOf(run: RunFolder, { checkpoint, ...flags }: FewLabelFlags) {
  if (flags.init !== undefined && checkpoint !== undefined)
    throw new UsageError('--init gives the weights; leave out --checkpoint or --init')
  const file = await readInit(flags)
  if (file) {
    const { path, prefix, metadata } = file
    const name = prefix === undefined ? path : `${path}, ${prefix}`
    return { name, metadata, load: (gpu: Gpu, m: Model) => loadWeights(gpu, m, file) }
  }
  const saved = await checkpointOf(run, checkpoint)
  const name = `step ${stepOf(saved.metadata) ?? 'unknown'}`
  const { tensors, metadata, path } = saved
  return { name, metadata, load: (gpu: Gpu, m: Model) => loadModel(gpu, m, tensors, path) }
}
