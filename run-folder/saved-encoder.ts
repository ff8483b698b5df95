// Opens an encoder for use: of a run folder, or of a checkpoint file. The command line's
// evaluations, `embedder` and every other use of a trained encoder open it here.

import { basename, dirname, join } from 'node:path'
import { lookAt } from '../data/paths.ts'
import { load } from '../engine/node-files.ts'
import type { SafetensorsFile } from '../engine/safetensors.ts'
import { checkOptions, checkValue, oneOf, text } from '../kernels/options.ts'
import { checkConfig } from '../training/check-config.ts'
import { UsageError } from '../training/choice.ts'
import { type EncoderLayer, type SavedEncoder, savedEncoderOf } from '../training/encoder.ts'
import { areSettingsWhole, settingsIn } from '../training/history.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { openRun } from './open.ts'
import { exists, readConfig } from './run-config.ts'
import type { RunFolder } from './run-folder.ts'

/** Options of `openEncoder`. */
export interface EncoderOptions {
  /** Which checkpoint of a run folder: 'newest' (the default), 'best' by kNN accuracy, or the path
   *  of a file. */
  readonly checkpoint?: string
  /** Which output: the encoder's features, or the head's embedding; by default the one that the
   *  run's kNN compares. */
  readonly layer?: EncoderLayer
}

/** An opened encoder, with the configuration and the checkpoint that it is of. */
export interface OpenedEncoder extends SavedEncoder {
  readonly config: TrainConfig
  readonly checkpoint: SafetensorsFile
  /** A line about each damaged checkpoint that was newer. */
  readonly damaged: readonly string[]
}

const rules = { checkpoint: text, layer: oneOf('features', 'embedding') }

/** Opens the encoder of a run folder or of a checkpoint file. A file's own metadata hold its
 *  settings; a file of an older version needs its run folder around it. Throws Error in words for
 *  anything else, for a damaged file, and for a run without a checkpoint. */
export async function openEncoder(
  path: string,
  options: EncoderOptions = {},
): Promise<OpenedEncoder> {
  checkValue('openEncoder', 'path', path, text)
  const { checkpoint: which = 'newest', layer } = checkOptions('openEncoder', options, rules)
  const { status, trouble } = await lookAt(path)
  if (!status) throw new Error(`${path} ${trouble}; give a run folder or a checkpoint of a run`)
  if (!status.isDirectory()) {
    if (options.checkpoint !== undefined)
      throw new UsageError(
        `${path} is a checkpoint already; leave out the option checkpoint, '${which}'`,
      )
    const checkpoint = await load(path)
    const config = await configOfFile(path, checkpoint)
    const saved = savedEncoderOf(config, { ...checkpoint, path }, layer)
    return { ...saved, config, checkpoint, damaged: [] }
  }
  const run = await openRun(path)
  const config = checkConfig(run.config, run.path('config.json'))
  const { damaged, ...checkpoint } = await checkpointIn(run, which)
  return { ...savedEncoderOf(config, checkpoint, layer), config, checkpoint, damaged }
}

/** A safetensors file, and its path. */
export interface LoadedFile extends SafetensorsFile {
  readonly path: string
}

/** Loads a checkpoint of a run: the newest, the best, or the file at a path. Lists the damaged
 *  newer ones. Throws UsageError if the run has none, and Error in words. */
export async function checkpointIn(
  run: RunFolder,
  which: string,
): Promise<LoadedFile & { readonly damaged: readonly string[] }> {
  if (which === 'best') {
    const best = await run.bestCheckpoint()
    if (best) return { ...best, damaged: [] }
    throw new UsageError(`${run.dir} has no best checkpoint: its kNN accuracy was never measured`)
  }
  if (which !== 'newest') return { ...(await load(which)), path: which, damaged: [] }
  const { checkpoint, damaged } = await run.latest()
  if (checkpoint) return { ...checkpoint, damaged }
  throw new UsageError(`${run.dir} has no checkpoint yet; let the training reach its first`)
}

/** Returns the settings that a checkpoint file was made with. Throws Error for a file without
 *  settings. */
async function configOfFile(path: string, { metadata }: SafetensorsFile): Promise<TrainConfig> {
  if (!areSettingsWhole(metadata))
    throw new Error(`${path}: its settings (config) are not what was saved; the file is damaged`)
  const settings = settingsIn(metadata)
  // the settings of a checkpoint leave out where the images lay
  if (settings) return checkConfig({ data: 'procedural', ...settings }, `${path}: its settings`)
  const run = dirname(dirname(path))
  if (basename(dirname(path)) === 'checkpoints' && (await exists(join(run, 'config.json'))))
    return checkConfig(await readConfig(run), join(run, 'config.json'))
  throw new Error(
    `${path}: it holds no settings of a run, so that its network and its images are unknown; give ` +
      'a checkpoint of a run, or an encoder as { name, build, transform, side }',
  )
}
