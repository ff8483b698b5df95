// The pictures of a training as the bytes of a file that the browser keeps: the page's own, or the
// images that a run came with.

import {
  type Dataset,
  type Split,
  decodeImages,
  decodeSafetensors,
  encodeImages,
  encodeSafetensors,
} from 'kindred'
import type { PhotoSet } from './photo-set.ts'
import { decodePictures, encodePictures, isPictures } from './run-file.ts'

/** Encodes the file of pictures. */
export async function picturesBytes(pictures: PhotoSet): Promise<Uint8Array<ArrayBuffer>> {
  return pictures.carried
    ? encodeImages(pictures.carried)
    : encodeSafetensors(encodePictures(pictures))
}

/** Reads such a file. Throws Error in words. */
export async function picturesIn(bytes: Uint8Array, name: string): Promise<PhotoSet> {
  const file = decodeSafetensors(bytes, name)
  return isPictures(file) ? decodePictures(file) : photosOf(await decodeImages(bytes, name))
}

/** Makes pictures to look at of the images that a run came with, and trains on these. Throws Error
 *  in words for images that are no squares. */
export async function photosOf(carried: Split): Promise<PhotoSet> {
  const { train, test } = carried
  const { height, width } = train.image
  if (height !== width)
    throw new Error(`its images are ${height} x ${width} pixels, and this page shows squares`)
  return {
    kind: 'own',
    side: height,
    names: train.files ?? Array.from({ length: train.size }, (_, i) => `picture ${i + 1}`),
    pixels: await pixelsOf(train),
    classes: train.classes,
    labels: train.labels && Int32Array.from(train.labels),
    test: {
      pixels: await pixelsOf(test),
      labels: test.labels && Int32Array.from(test.labels),
    },
    carried,
  }
}

async function pixelsOf(set: Dataset): Promise<Uint8Array<ArrayBuffer>> {
  const { height, width, channels } = set.image
  const pixels = new Uint8Array(set.size * height * width * channels)
  await set.read(
    Uint32Array.from({ length: set.size }, (_, i) => i),
    pixels,
  )
  return pixels
}
