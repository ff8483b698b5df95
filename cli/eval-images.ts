// Which images an evaluation of a run takes for its training images.

import { type Dataset, type Split } from '../data/dataset.ts'
import type { AnyConfig } from './config.ts'
import { imagesDigest, isOf } from './fingerprint.ts'
import { trainingImages } from './train.ts'

interface Asked {
  /** --data, where it was given. */
  readonly data?: string | undefined
  /** The metadata of the run's checkpoint. */
  readonly metadata: Readonly<Record<string, string>>
}

/** The run's own training images, its --subset included, also where --data says that they were
 * moved; of another set all. */
export async function trainingImagesOf(
  config: AnyConfig,
  split: Split,
  { data, metadata }: Asked,
): Promise<Dataset> {
  if (config.subset === null) return split.train
  if (data === undefined) return trainingImages(config, split)
  if (config.subset > split.train.size) return split.train
  const own = trainingImages(config, split)
  const isOwn = await isOf(own, metadata, () => imagesDigest(own, split.about?.path ?? null))
  return isOwn === true ? own : split.train
}
