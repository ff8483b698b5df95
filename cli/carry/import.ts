// kindred import: a checkpoint of another program as a run folder, for eval, embed, search, curate
// and export; or a whole run of Kindred, to go on with.

import type { Gpu } from '../../engine/gpu.ts'
import { settingsMetadata } from '../../training/history.ts'
import { configFrom } from '../../training/config.ts'
import { UsageError, choose } from '../../training/choice.ts'
import { checkConfig } from '../../training/check-config.ts'
import { trainerOf } from '../../training/prepare.ts'
import type { TrainConfig } from '../../training/run-schema.ts'
import { saveTrainer } from '../../training/trainer-state.ts'
import { checkSource, sourceOf } from '../data-source.ts'
import { type GpuFlags, openRunGpu } from '../gpu-options.ts'
import { startProgress } from '../progress.ts'
import { beginRun, checkNewRun } from '../runs.ts'
import { kindredVersion } from '../version.ts'
import { type InitFile, loadInit, noteInit, readWeights } from './init.ts'
import { importRun } from './whole-run.ts'

/** Options of kindred import. */
export interface ImportFlags extends GpuFlags {
  readonly out: string
  readonly model?: string
  readonly stem?: string
  readonly width?: number
  readonly size?: number
  readonly prefix?: string
  readonly normalize?: string
  readonly data?: string
  readonly json?: boolean
}

/** Mean and deviation of each channel, by name. */
const statistics = {
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  cifar10: { mean: [0.4914, 0.4822, 0.4465], std: [0.2023, 0.1994, 0.201] },
  none: null,
} as const
const encoders = ['resnet8', 'resnet18', 'resnet34', 'resnet50'] as const
const names = ['imagenet', 'cifar10', 'none'] as const

/** Makes a run folder of a checkpoint of another program, and returns the exit code. Throws Error
 *  in words. */
export async function importEncoder(path: string, flags: ImportFlags): Promise<number> {
  if (path.endsWith('.zip')) return importRun(path, flags)
  if (!choose('--model', flags.model, encoders))
    throw new UsageError(`--model: is missing; name the encoder: ${encoders.join(', ')}`)
  if (flags.data !== undefined) checkSource(flags.data)
  await checkNewRun(flags.out)
  const file = await readWeights(path, '--prefix', flags.prefix)
  const config = importConfig(flags)
  const progress = startProgress({ json: flags.json ?? false })
  const gpu = await openRunGpu(flags)
  try {
    await makeRun(gpu, { file, config, flags }, (imported) => noteInit(file, imported, progress))
    progress.note(`run folder: ${flags.out}`, { run: flags.out, step: 0 })
    return 0
  } finally {
    gpu.destroy()
  }
}

interface Importing {
  readonly file: InitFile
  readonly config: TrainConfig
  readonly flags: ImportFlags
}

/** Loads the encoder, then makes the folder. A file that does not fit leaves none behind. */
async function makeRun(
  gpu: Gpu,
  { file, config, flags: { out } }: Importing,
  tell: (imported: ReturnType<typeof loadInit>) => void,
) {
  const images = { size: config.batch, labels: null, classes: [] }
  const trainer = trainerOf(gpu, config, { stepsPerEpoch: 1, images, capture: false })
  tell(loadInit(gpu, trainer, file))
  const { tensors, metadata } = await saveTrainer(gpu, trainer)
  const about = { kindred: kindredVersion(), node: process.version, imported: file.path }
  const run = await beginRun(out, { ...config, ...sourceOf(config.data, out), about })
  try {
    await run.saveCheckpoint(0, tensors, { ...metadata, ...settingsMetadata(config) })
  } finally {
    await run.close()
  }
}

/** Makes the settings of the run: SimCLR's, with the encoder and the normalisation given. */
function importConfig({ model, stem, width, size, normalize, data }: ImportFlags): TrainConfig {
  const isImagenet = stem === 'imagenet'
  const named = choose('--normalize', normalize, names) ?? (isImagenet ? 'imagenet' : 'cifar10')
  const given = { model, stem: stem ?? 'cifar', width, size: size ?? (isImagenet ? 224 : 32), data }
  const options = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  )
  const config = configFrom('simclr', { preset: 'simclr-cifar10', ...options }, false)
  const { normalize: _other, ...views } = config.views as Readonly<Record<string, unknown>> // SimCLR has one
  const statistic = statistics[named]
  return checkConfig(
    { ...config, views: { ...views, ...(statistic && { normalize: statistic }) } },
    'import',
  )
}
