// The features of images, computed on the GPU with their progress in words.

import { totalmem } from 'node:os'
import type { Dataset } from '../../data/dataset.ts'
import { counted } from '../../data/words.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { type Embeddings, embed } from '../../evaluate/embed.ts'
import { checkFinite } from '../../evaluate/slabs.ts'
import { unitFeatures } from '../../evaluate/unit-features.ts'
import { augment } from '../../kernels/augment/augment.ts'
import type { Tensor } from '../../kernels/op.ts'
import { precisions } from '../../methods/settings/words.ts'
import type { OpenedEncoder } from '../../run-folder/saved-encoder.ts'
import { UsageError, choose } from '../../training/choice.ts'
import { batchesInOrder } from '../../training/knn.ts'
import type { Progress } from '../../training/progress.ts'
import { openRunGpu } from '../gpu-options.ts'
import { noted } from './noted.ts'
import type { PictureFlags } from './pictures.ts'

const SHARE = 1 / 3 // of the machine's memory, for the features
const still = { seed: 0, step: 0, view: 0 } // a test transform draws nothing

/** Runs `body` with a Gpu in the run's precision, or that of --precision. */
export async function onSeenGpu<T>(
  { config }: OpenedEncoder,
  flags: PictureFlags,
  body: (gpu: Gpu) => Promise<T>,
): Promise<T> {
  const precision = choose('--precision', flags.precision, precisions) ?? config.precision
  const gpu = await openRunGpu(flags, { precision })
  try {
    return await body(gpu)
  } finally {
    gpu.destroy()
  }
}

export interface FeatureOptions {
  /** False leaves rows as long as the encoder makes them. */
  readonly unit?: boolean
  /** Of the command, for messages. */
  readonly command: string
}

/** Computes the features of every image, in order. Throws UsageError for more than a third of the
 *  machine's memory, Error for features that are not finite, and DataError. */
export async function featuresSeen(
  gpu: Gpu,
  saved: OpenedEncoder,
  set: Dataset,
  progress: Progress,
  { unit = true, command }: FeatureOptions,
): Promise<Embeddings> {
  const model = await saved.build(gpu)
  const [bytes, room] = [set.size * model.features * 4, SHARE * totalmem()]
  if (bytes > room)
    throw new UsageError(
      `${command}: the features of ${counted(set.size, 'image')} have ${bytes} bytes, more than ` +
        "a third of this machine's memory; name a smaller set with --data or --half",
    )
  const encode = unit
    ? unitFeatures(model, saved.transform)
    : (images: Tensor) =>
        model.forward(augment(images, saved.transform, still), { training: false })
  const { height, width, channels } = set.image
  const rows = await embed(gpu, encode, followed(set, progress), [height, width, channels])
  checkFinite(command, rows.features)
  gpu.free(model)
  return rows
}

/** Yields the batches of a set. Notes every 10 seconds how many have been. */
async function* followed(set: Dataset, progress: Progress) {
  const total = set.size
  const images = counted(total, 'image')
  const note = noted(progress, (so) => `features of ${so.done} of ${images}`)
  let done = 0
  for await (const batch of batchesInOrder(set)) {
    yield batch
    done += batch.count
    note({ done, total })
  }
}
