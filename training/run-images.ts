// The images of a run as bytes beside it, so that a page and a server train on the same ones,
// though they decode and scale pictures differently.

import { checkValue, text } from '../kernels/options.ts'
import { DataError, type Split, checkSplit } from '../data/dataset.ts'
import { IMAGES, MOST_FILE, checkCarriable } from '../data/images-file.ts'
import { type SafetensorsFile, aFile } from '../engine/safetensors.ts'
import { checkedFile, imagesIn } from '../data/images-in-file.ts'
import { decodeDigested, encodeDigested } from './digested-file.ts'
import { imagesDigest, isOf } from './fingerprint.ts'
import { trainingImages } from './prepare.ts'
import type { RunContents } from './run-contents.ts'
import type { TrainConfig } from './run-schema.ts'
import { sha256 } from './sha256.ts'
import type { TrainingStorage } from './storage.ts'

/** The source of a run's images that lie beside it. */
export const besideRun = { data: `images:${IMAGES}`, dataFromRun: IMAGES } as const

/** Encodes both halves of a data set as one safetensors file of pixels, `images.safetensors` of a
 *  run folder, with a digest. `decodeImages` and `--data images:FILE` read it. Throws TypeError,
 *  and DataError if they take more than 1 GiB, cannot be read, or do not go together. */
export async function encodeImages(images: Split): Promise<Uint8Array<ArrayBuffer>> {
  checkSplit('encodeImages', 'images', images)
  return encodeDigested(await checkedFile(images, 'encodeImages'))
}

/** Decodes such a file, whoever made it. Messages call it `name`. Throws Error in words if it is
 *  damaged, holds something else, or more than 1 GiB of pixels. */
export async function decodeImages(
  bytes: Uint8Array | ArrayBuffer,
  name = 'the images',
): Promise<Split> {
  checkValue('decodeImages', 'file', bytes, aFile)
  checkValue('decodeImages', 'name', name, text)
  checkFileSize(name, bytes.byteLength)
  return carriedIn(await decodeDigested(bytes, name), name)
}

/** Decodes the file of images in a packed run. Throws Error in words as `decodeImages` does, and
 *  for one without a digest: each that Kindred writes has one. */
export async function decodePackedImages(bytes: Uint8Array, name: string): Promise<Split> {
  return carriedIn(await decodeDigested(bytes, name, { needed: true }), name)
}

function carriedIn(file: SafetensorsFile, name: string): Split {
  const images = imagesIn(file, name)
  checkCarriable(images)
  return images
}

/** Throws DataError for a file of images that is larger than one that Kindred writes. */
export function checkFileSize(name: string, bytes: number) {
  if (bytes > MOST_FILE)
    throw new DataError(
      `${name}: it takes ${bytes} bytes, and a file of images at most ${MOST_FILE}; ` +
        'train on a subset, or give the files of the images themselves',
    )
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
