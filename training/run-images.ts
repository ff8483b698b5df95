// The images of a run as bytes beside it, so that a page and a server train on the same ones, though
// they decode and scale pictures differently.

import { checkValue, having, text } from '../kernels/options.ts'
import type { Split } from '../data/dataset.ts'
import { IMAGES, checkCarriable, filedImages } from '../data/images-file.ts'
import { imagesIn } from '../data/images-in-file.ts'
import { decodeDigested, encodeDigested } from './digested-file.ts'
import { imagesDigest, isOf } from './fingerprint.ts'
import { trainingImages } from './prepare.ts'
import type { RunContents } from './run-contents.ts'
import type { TrainConfig } from './run-schema.ts'
import { sha256 } from './sha256.ts'
import type { TrainingStorage } from './storage.ts'

/** The source of a run's images that lie beside it. */
export const besideRun = { data: `images:${IMAGES}`, dataFromRun: IMAGES } as const

/** Encodes both halves of a data set as one safetensors file of pixels, `images.safetensors` of a run
 *  folder, with a digest. `decodeImages` and `--data images:FILE` read it. Throws TypeError, and
 *  DataError if they take more than 1 GiB or cannot be read. */
export async function encodeImages(images: Split): Promise<Uint8Array<ArrayBuffer>> {
  checkValue('encodeImages', 'images', images, having('both halves of a data set', 'train', 'test'))
  return encodeDigested(await filedImages(images))
}

/** Decodes such a file, whoever made it. Messages call it `name`. Throws Error in words if it is
 *  damaged, or holds something else. */
export async function decodeImages(
  bytes: Uint8Array | ArrayBuffer,
  name = 'the images',
): Promise<Split> {
  checkValue('decodeImages', 'name', name, text)
  return imagesIn(await decodeDigested(bytes, name), name)
}

/** Returns the images that a run is trained on and measured with, of a data set that has them.
 *  Throws Error if it was trained on others, and DataError if they take more than 1 GiB. */
export async function imagesOfRun(
  { name, sha256: own = sha256 }: Pick<TrainingStorage, 'name' | 'sha256'>,
  { config, newest }: Pick<RunContents, 'newest'> & { readonly config: TrainConfig },
  images: Split,
): Promise<Split> {
  const train = trainingImages(config, images)
  checkCarriable({ train, test: images.test }) // before all are read
  const isOwn = await isOf(train, newest.metadata, () => imagesDigest(train, own))
  if (isOwn === false)
    throw new Error(
      `${name}: it was trained on other images than the ${train.size} given; give those, or leave ` +
        'the images out',
    )
  const { from = config.data } = images.about ?? {}
  const about = { path: null, split: 'its halves', notes: [], others: [], ...images.about, from }
  return { train, test: images.test, about }
}
