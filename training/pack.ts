// A whole run as one file: a zip of its run folder. So a run goes from a server to a page and back,
// and any program can open it.

import { type Zippable, zipSync } from 'fflate'
import { checkOptions, checkValue, callback, having } from '../kernels/options.ts'
import { encodeCheckpoint } from './checkpoint-bytes.ts'
import { BEST, fileOfStep } from './checkpoint-file.ts'
import { configBytes } from './config-file.ts'
import { metricLines } from './metrics.ts'
import { type OnNote, contentsOf } from './run-contents.ts'
import type { Checkpoint, TrainingStorage } from './storage.ts'

/** Options of `packRun`. */
export interface PackOptions {
  /** Receives a line about each checkpoint that is damaged and left out. */
  readonly onNote?: OnNote
}

const MOST = 2 ** 32 - 1 // bytes of a zip without its 64-bit extension
const stored = { level: 0 } as const // weights do not get smaller

/** Packs a run into one file, a zip with the files of a run folder: config.json, metrics.jsonl, the
 *  newest checkpoint and the best. `unpackRun` and `kindred import` read it, and `unzip` makes a run
 *  folder of it. Throws Error if the run has no checkpoint yet, a wrong configuration, or another
 *  one than its checkpoint, or takes more than 4 GiB. */
export async function packRun(storage: TrainingStorage, options: PackOptions = {}): Promise<Blob> {
  checkValue('packRun', 'storage', storage, having('a storage', 'config', 'latest'))
  const { onNote = () => {} } = checkOptions('packRun', options, { onNote: callback })
  const { config, metrics, newest, best } = await contentsOf(storage, onNote)
  const files: Zippable = {
    'config.json': configBytes(config),
    'metrics.jsonl': new TextEncoder().encode(metricLines(metrics)),
  }
  const put = async (name: string, checkpoint: Checkpoint) =>
    void (files[`checkpoints/${name}`] = [await encodeCheckpoint(checkpoint), stored])
  if (best) await put(BEST, best)
  // a run without others goes on from its best
  if (newest.step !== best?.step) await put(fileOfStep(newest.step), newest)
  const bytes = Object.values(files).reduce((sum, file) => sum + bytesOf(file), 0)
  if (bytes > MOST - 2 ** 16)
    throw new Error(`${storage.name} takes ${bytes} bytes, and one file holds at most ${MOST}`)
  return new Blob([zipSync(files)], { type: 'application/zip' })
}

const bytesOf = (file: Zippable[string]): number =>
  file instanceof Uint8Array ? file.length : Array.isArray(file) ? bytesOf(file[0]) : 0
