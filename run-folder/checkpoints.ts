// The checkpoints of a run: the newest few, as step-00000123.safetensors, and best.safetensors.

import { copyFile, link, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { troubleOf } from '../data/paths.ts'
import type { SafetensorsFile } from '../engine/safetensors.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import { BEST, wholeCheckpoint, fileOfStep, stepsIn } from '../training/checkpoint-file.ts'
import type { Checkpoint } from '../training/storage.ts'
import { type WriteOptions, codeOf, load, save, writeError } from '../engine/node-files.ts'
import { type Words, inCode } from './words.ts'

/** A damaged checkpoint. */
export interface Damaged {
  readonly path: string
  /** Reason in words. It begins with the path. */
  readonly reason: string
}

/** Options of saving a checkpoint. */
export interface CheckpointOptions {
  /** Number of newest checkpoints that stay; 2 by default. */
  readonly keep?: number
  /** True for the best kNN accuracy so far. The checkpoint becomes best.safetensors too. */
  readonly best?: boolean
  /** Remedy in the message about a failed write; to try again by default. */
  readonly retry?: string
}

/** Writes the checkpoint of `step` to `folder`, then deletes the oldest. Resolves to its path.
 *  Throws Error in words, with the earlier checkpoints intact. */
export async function saveCheckpoint(
  folder: string,
  { step, tensors, metadata }: SafetensorsFile & { readonly step: number },
  { keep = 2, best = false, ...write }: CheckpointOptions = {},
): Promise<string> {
  const path = join(folder, fileOfStep(step))
  await save(path, tensors, { ...metadata, step: String(step) }, write)
  if (best) await linkBest(folder, path, write)
  const old = (await steps(folder)).slice(Math.max(1, keep)).map(fileOfStep)
  for (const name of old) await rm(join(folder, name), { force: true })
  return path
}

/** Loads the newest readable checkpoint in `folder`, best.safetensors as a last resort. Resolves to
 *  null for none, and lists the damaged newer ones. Throws Error if all are damaged. */
export async function newestCheckpoint(
  folder: string,
  { elsewhere }: Words = inCode,
): Promise<{ readonly checkpoint: Checkpoint | null; readonly damaged: readonly Damaged[] }> {
  const damaged: Damaged[] = []
  const names = (await steps(folder)).map(fileOfStep)
  if ((await namesIn(folder)).includes(BEST)) names.push(BEST)
  for (const path of names.map((name) => join(folder, name))) {
    try {
      return { checkpoint: await loadCheckpoint(path), damaged }
    } catch (error) {
      damaged.push({ path, reason: reasonOf(error) })
    }
  }
  if (damaged.length > 0)
    throw new Error(
      `${folder}: no checkpoint can be read; start again with ` +
        `${elsewhere}\n${damaged.map((d) => d.reason).join('\n')}`,
    )
  return { checkpoint: null, damaged }
}

/** Loads best.safetensors of `folder`, null if there is none. Throws Error if it cannot be read. */
export const bestCheckpoint = async (folder: string): Promise<Checkpoint | null> =>
  (await namesIn(folder)).includes(BEST) ? loadCheckpoint(join(folder, BEST)) : null

/** Loads a checkpoint. Throws Error in words if it is damaged. */
const loadCheckpoint = async (path: string) => wholeCheckpoint(await load(path), path)

/** Makes best.safetensors a second name of the file at `path`. A checkpoint is never written in
 *  place, so the two names may share the file. */
async function linkBest(folder: string, path: string, write: WriteOptions) {
  const best = join(folder, BEST)
  const temporary = join(folder, `.${BEST}.${process.pid}.tmp`)
  try {
    await rm(temporary, { force: true })
    // some file systems have no hard links
    await link(path, temporary).catch(() => copyFile(path, temporary))
    await rename(temporary, best)
    await rm(temporary, { force: true }) // rename between two names of one file keeps both
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {}) // the first error counts
    throw writeError(best, cause, write)
  }
}

/** Lists the steps that have a checkpoint, newest first. */
const steps = async (folder: string) => stepsIn(await namesIn(folder))

/** Lists the names in a folder, none if it is missing. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return []
    throw new Error(`${folder} ${await troubleOf(cause, folder)}`, { cause })
  }
}
