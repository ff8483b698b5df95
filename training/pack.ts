// A whole run as one file: a zip of its run folder. So a run goes from a server to a page and back,
// and any program can open it.

import type { Zippable } from 'fflate'
import { type Split, bothHalves, checkSplit } from '../data/dataset.ts'
import { IMAGES } from '../data/images-file.ts'
import { loadedLater } from '../kernels/loaded-later.ts'
import { checkOptions, checkValue, callback, having, orNull } from '../kernels/options.ts'
import { checkConfig } from './check-config.ts'
import { encodeCheckpoint } from './checkpoint-bytes.ts'
import { BEST, fileOfStep } from './checkpoint-file.ts'
import { configBytes } from './config-file.ts'
import { metricLines } from './metrics.ts'
import { type OnNote, contentsOf } from './run-contents.ts'
import { besideRun, encodeImages, imagesOfRun } from './run-images.ts'
import type { Checkpoint, Config, TrainingStorage } from './storage.ts'

/** Options of `packRun`. */
export interface PackOptions {
  /** Images to carry along, which the run was trained on; by default those that its storage keeps,
   *  if any. Null carries none. */
  readonly images?: Split | null
  /** Receives a line about each checkpoint that is damaged and left out. */
  readonly onNote?: OnNote
}

const MOST = 2 ** 32 - 1 // bytes of a zip without its 64-bit extension
const stored = { level: 0 } as const // weights do not get smaller

const rules = {
  images: orNull(bothHalves),
  onNote: callback,
}

/** Packs a run into one file, a zip with the files of a run folder: config.json, metrics.jsonl, the
 *  newest checkpoint and the best, and the images if they are carried along. `unpackRun` and
 *  `kindred import` read it, and `unzip` makes a run folder of it. Throws Error if the run has no
 *  checkpoint yet, a wrong configuration, or another one than its checkpoint, if it was trained on
 *  other images or they take more than 1 GiB, and if it takes more than 4 GiB. */
export async function packRun(storage: TrainingStorage, options: PackOptions = {}): Promise<Blob> {
  checkValue('packRun', 'storage', storage, having('a storage', 'config', 'latest'))
  const { onNote = () => {}, images } = checkOptions('packRun', options, rules)
  if (images) checkSplit('packRun', 'images', images)
  const { config, metrics, newest, best, ...kept } = await contentsOf(storage, onNote, {
    images: images === undefined,
  })
  const carried = images ?? kept.images ?? null
  const files: Zippable = {
    'config.json': configBytes(
      carried ? { ...config, ...besideRun } : await alone(storage, config),
    ),
    'metrics.jsonl': new TextEncoder().encode(metricLines(metrics)),
  }
  const put = async (name: string, checkpoint: Checkpoint) =>
    void (files[`checkpoints/${name}`] = [await encodeCheckpoint(checkpoint), stored])
  if (best) await put(BEST, best)
  // a run without others goes on from its best
  if (newest.step !== best?.step) await put(fileOfStep(newest.step), newest)
  if (carried) {
    const run = { config: checkConfig(config, storage.name), newest }
    files[IMAGES] = [await encodeImages(await imagesOfRun(storage, run, carried)), stored]
  }
  const bytes = Object.values(files).reduce((sum, file) => sum + bytesOf(file), 0)
  if (bytes > MOST - 2 ** 16)
    throw new Error(`${storage.name} takes ${bytes} bytes, and one file holds at most ${MOST}`)
  const { zipSync } = await loadedLater('packRun', () => import('fflate'))
  return new Blob([zipSync(files)], { type: 'application/zip' })
}

/** The configuration of a run without its images. Where they lay beside it, it names their first
 *  source again. */
async function alone(storage: TrainingStorage, config: Config): Promise<Config> {
  const { dataFromRun, ...rest } = config
  if (dataFromRun !== IMAGES) return config
  const kept = await storage.images?.().catch(() => null) // damaged ones are left out, too
  const { from } = kept?.about ?? {}
  return from === undefined ? config : { ...rest, data: from }
}

const bytesOf = (file: Zippable[string]): number =>
  file instanceof Uint8Array ? file.length : Array.isArray(file) ? bytesOf(file[0]) : 0
