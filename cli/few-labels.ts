// kindred eval finetune, kindred eval few-labels: what a run's encoder is worth when few labels are
// known. Each training is a cell, kept in a file, so that the same command goes on.

import { dirname, join } from 'node:path'
import { type LabelSplit, labelSplit } from '../data/label-split.ts'
import { labelled } from '../data/select.ts'
import type { Dataset } from '../data/dataset.ts'
import { counted } from '../data/words.ts'
import type { Gpu } from '../engine/gpu.ts'
import { makeFolder, writeAtomic } from '../engine/node-files.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import type { Model } from '../models/model.ts'
import { loadModel } from '../models/state.ts'
import { exists, utf8 } from '../run-folder/run-config.ts'
import { encodeClassifier, openClassifier } from '../run-folder/saved-classifier.ts'
import { UsageError } from '../training/choice.ts'
import { knownLabels } from '../training/knn.ts'
import { type InitFlags, loadWeights, readInit } from './carry/init.ts'
import { absoluteSource, findSource } from './data-source.ts'
import { command } from './command.ts'
import { checkMeasurable } from './data-summary.ts'
import { checkpointOf, stepOf, trainingImagesOf } from './eval-images.ts'
import {
  type Cell,
  type CellResult,
  amountInWords,
  arms,
  cellFile,
  keepCell,
  keptCell,
} from './few-label-cells.ts'
import { fewLabelPage } from './few-label-page.ts'
import { spreads, tableLines } from './few-label-table.ts'
import { type FewLabels, trainCell } from './few-label-training.ts'
import { type GpuFlags, openRunGpu } from './gpu-options.ts'
import { closeImages, openRunImages } from './images.ts'
import { type LabelPart, partName } from './label-parts.ts'
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

/** Trains one network on few labels, prints its accuracy, and returns the exit code. Throws Error in
 *  words. */
export function evalFineTune(dir: string, flags: FineTuneFlags): Promise<number> {
  const { labels: part = { fraction: 0.1 }, seed = 0, scratch = false } = flags
  if (scratch && flags.init !== undefined)
    throw new UsageError('--scratch begins with new weights; leave out --init or --scratch')
  const arm = scratch ? 'from scratch' : 'fine-tuned'
  return withFewLabels({ dir, name: 'eval finetune' }, flags, async (few, out) => {
    const cell = { arm, part, seed } as const
    const network = cellFile(out, cell, 'safetensors')
    const result = await cellResult(few, cell, out, network)
    const { accuracy, indices, lr } = result
    const probe = lr === 0 ? ': the linear probe, not trained further' : ''
    few.progress.note(
      `${nameOf(cell, indices.length)}: ${accuracy.toFixed(2)}% of ${few.test.size} test images, ` +
        `at learning rate ${lr}${probe}\n` +
        `the network is ${network}; try: ${command('classify', network, 'IMAGE')}`,
      { run: dir, network, ...result },
    )
  })
}

/** Trains the cells of the table that are missing, prints it, writes few-labels.html, and returns
 *  the exit code. Throws Error in words. */
export function evalFewLabels(dir: string, flags: TableFlags): Promise<number> {
  const { labels: parts = [{ fraction: 0.01 }, { fraction: 0.1 }], seeds = 3 } = flags
  return withFewLabels({ dir, name: 'eval few-labels' }, flags, async (few, out) => {
    const results: CellResult[] = []
    for (const part of parts) splitOf(few.train, part, 0) // refuses before anything is trained
    for (const part of parts)
      for (let seed = 0; seed < seeds; seed++)
        for (const arm of arms) results.push(await cellResult(few, { arm, part, seed }, out))
    const rows = spreads(results)
    const html = fewLabelPage(rows, flat({ ...few.settings, seeds }))
    const path = join(out, 'few-labels.html')
    await writeAtomic(path, utf8(html))
    const text = [...tableLines(rows, few.test.size), '', `${path} shows the curves`].join('\n')
    few.progress.note(text, { run: dir, seeds, settings: few.settings, rows })
  })
}

/** Names a training, as in 'fine-tuned on 10% of the labels (500), seed 0'. */
const nameOf = ({ arm, part, seed }: Cell, labels: number) =>
  `${arm} on ${amountInWords(partName(part))} (${labels}), seed ${seed}`

/** Chooses the images whose labels are used. Throws UsageError with the rule of `labelSplit`. */
function splitOf(train: Dataset, part: LabelPart, seed: number): LabelSplit {
  try {
    return labelSplit(knownLabels(train), { ...part, seed })
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    const words = cause.message
      .replace(/^labelSplit: perClass/, `--labels: ${partName(part)}`)
      .replace(/class (\d+) has/, (_, label: string) => `class ${train.classes[Number(label)]} has`)
    throw new UsageError(words, { cause })
  }
}

/** Returns a cell's result: the kept one, or that of a training now. `network` is the file that the
 *  trained network is kept in too, if any; a result without its network is not kept. */
async function cellResult(
  few: FewLabels,
  cell: Cell,
  out: string,
  network: string | null = null,
): Promise<CellResult> {
  const found = await keptCell(out, cell, few.settings)
  const kept = network === null || (found && (await isWhole(few, network))) ? found : null
  const { arm, part, seed } = cell
  const indices = Array.from(splitOf(few.train, part, seed).chosen)
  const name = nameOf(cell, indices.length)
  if (kept) {
    few.progress.note(`${name}: ${kept.accuracy.toFixed(2)}%, kept from before`)
    return kept
  }
  const { batch } = few.settings
  if (arm !== 'linear probe' && batch > indices.length)
    few.progress.note(
      `${name}: batch ${batch} is lowered to its ${counted(indices.length, 'label')}`,
    )
  const { tensors, ...trained } = await trainCell(few, cell, indices)
  const { accuracy } = trained
  const labels = partName(part)
  const result = { arm, labels, seed, settings: few.settings, ...trained, indices }
  if (network !== null && tensors) await keepNetwork(few, network, tensors)
  await keepCell(out, cell, result)
  few.progress.note(`${name}: ${accuracy.toFixed(2)}%`, { arm, labels, seed, accuracy })
  return result
}

/** Whether a network is kept and can be opened. Says why not, where there is a file. */
async function isWhole({ progress }: FewLabels, network: string): Promise<boolean> {
  if (!(await exists(network))) return false
  try {
    await openClassifier(network)
    return true
  } catch (cause) {
    const why = reasonOf(cause)
    const named = why.startsWith(network) ? why : `${network}: ${why}`
    progress.note(`${named}; it is trained again`, { network })
    return false
  }
}

/** Writes a trained network, whole or not at all. Throws Error in words. */
async function keepNetwork(
  { config, settings, train }: FewLabels,
  path: string,
  tensors: ReadonlyMap<string, SavedTensor>,
) {
  await makeFolder(dirname(path))
  const about = { step: String(settings.steps) }
  const { classes } = train
  await writeAtomic(path, encodeClassifier({ config, tensors, classes, about }))
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
