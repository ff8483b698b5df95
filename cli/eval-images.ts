// The checkpoint and the training images that an evaluation of a run uses.

import type { Dataset, Split } from '../data/dataset.ts'
import { printableLines } from '../kernels/printable.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { imagesDigest, isOf } from '../training/fingerprint.ts'
import { type RunFolder, nodeSha256 } from '../run-folder/run-folder.ts'
import { type LoadedFile, checkpointIn } from '../run-folder/saved-encoder.ts'
import { trainingImages } from '../training/prepare.ts'

/** Loads the checkpoint at `path`, by default the run's newest. Prints a line on standard error for
 *  each damaged newer one. Throws UsageError if the run has none, and Error in words. */
export async function checkpointOf(run: RunFolder, path: string | undefined): Promise<LoadedFile> {
  const { damaged, ...checkpoint } = await checkpointIn(run, path ?? 'newest')
  for (const line of damaged) console.error(`kindred: ${printableLines(line)}`)
  return checkpoint
}

/** Returns the step of a checkpoint, null if its metadata has none. */
export const stepOf = ({ step }: Readonly<Record<string, string>>): number | null =>
  /^\d+$/.test(step ?? '') ? Number(step) : null

/** Value of --data, and the checkpoint, which identify the images. */
interface Origin {
  /** Value of --data. */
  readonly data?: string | undefined
  /** Metadata of the run's checkpoint. */
  readonly metadata: Readonly<Record<string, string>>
}

/** Returns the images of the run's own set that its --subset chose, or all images of another set.
 *  Recognises the run's own set under another path by its digest. */
export async function trainingImagesOf(
  config: TrainConfig,
  split: Split,
  { data, metadata }: Origin,
): Promise<Dataset> {
  if (config.subset === null) return split.train
  if (data === undefined) return trainingImages(config, split)
  if (config.subset > split.train.size) return split.train
  const own = trainingImages(config, split)
  const isOwn = await isOf(own, metadata, () => imagesDigest(own, nodeSha256))
  return isOwn === true ? own : split.train
}
