// Which checkpoint of a run an evaluation takes, and which images for its training images.

import { type Dataset, type Split } from '../data/dataset.ts'
import { load } from '../engine/node-files.ts'
import type { SafetensorsFile } from '../engine/safetensors.ts'
import { printableLines } from '../kernels/printable.ts'
import { UsageError } from '../training/choice.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { imagesDigest, isOf } from '../training/fingerprint.ts'
import { type RunFolder, nodeSha256 } from '../runs/run-folder.ts'
import { trainingImages } from '../training/prepare.ts'

/** The checkpoint in the file at `path`, or the run's newest where none is named; newer ones that
 *  are damaged are told on standard error. Throws UsageError where there is none, and Error in
 *  words. */
export async function checkpointOf(
  run: RunFolder,
  path: string | undefined,
): Promise<SafetensorsFile> {
  if (path !== undefined) return load(path)
  const { checkpoint, damaged } = await run.latest()
  for (const line of damaged) console.error(`kindred: ${printableLines(line)}`)
  if (!checkpoint)
    throw new UsageError(`${run.dir} has no checkpoint yet; let the training reach its first`)
  return checkpoint
}

/** The step of a checkpoint, or null for a file that says none. */
export const stepOf = ({ step }: Readonly<Record<string, string>>): number | null =>
  /^\d+$/.test(step ?? '') ? Number(step) : null

interface Asked {
  /** --data, where it was given. */
  readonly data?: string | undefined
  /** The metadata of the run's checkpoint. */
  readonly metadata: Readonly<Record<string, string>>
}

/** The run's own training images, its --subset included, also where --data says that they were
 * moved; of another set all. */
export async function trainingImagesOf(
  config: TrainConfig,
  split: Split,
  { data, metadata }: Asked,
): Promise<Dataset> {
  if (config.subset === null) return split.train
  if (data === undefined) return trainingImages(config, split)
  if (config.subset > split.train.size) return split.train
  const own = trainingImages(config, split)
  const isOwn = await isOf(own, metadata, () => imagesDigest(own, nodeSha256))
  return isOwn === true ? own : split.train
}
