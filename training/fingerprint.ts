// The fingerprint of a data set. A resumed run checks that its images are the same, and compares
// accuracies only if they were measured on the same images.
//
// The digest of a set of at most 1 GiB of pixels covers every byte. The digest of a larger set
// covers the number and size of its images, the size of each image's file, and the pixels of 256
// MiB of images, at least 512, evenly spread.

import { type Dataset, imageBytes } from '../data/dataset.ts'
import type { TrainConfig } from './run-schema.ts'
import type { Digest, Sha256 } from './storage.ts'

/** Extent of a digest. */
interface Reach {
  /** Bytes of pixels up to which a digest covers a whole set. */
  readonly whole: number
  /** Bytes of pixels that a digest covers of a larger set. */
  readonly sample: number
  /** Fewest images that a digest covers of a larger set. */
  readonly least: number
}

const usual: Reach = { whole: 2 ** 30, sample: 2 ** 28, least: 512 }
const CHUNK = 2 ** 23 // bytes per read
const FILES = 256 // files per reading of sizes
const SAMPLED = 32 // images in the hash of older checkpoints

/** SHA-256 digests in hexadecimal. */
export interface Digests {
  /** Digest of the training images in their order. */
  readonly images: string
  /** Digest of all else that kNN accuracy depends on: labels, class names, test images,
   *  settings. */
  readonly measured: string
}

const [IMAGES, MEASURED] = ['images.sha256', 'measured.sha256']

/** Returns the checkpoint metadata that identifies the data. */
export const dataMetadata = ({ images, measured }: Digests): Readonly<Record<string, string>> => ({
  [IMAGES]: images,
  [MEASURED]: measured,
})

/** Returns the digests in a checkpoint's metadata. Older checkpoints have none. */
export const digestsIn = (metadata: Readonly<Record<string, string>>): Partial<Digests> => ({
  ...(metadata[IMAGES] !== undefined && { images: metadata[IMAGES] }),
  ...(metadata[MEASURED] !== undefined && { measured: metadata[MEASURED] }),
})

/** Tells whether a checkpoint's metadata hold a digest of the images that it was trained on, of
 *  today or of older versions. */
export const holdsImages = (metadata: Readonly<Record<string, string>>) =>
  metadata[IMAGES] !== undefined || metadata['images'] !== undefined

/** Computes the digests of a run's training images and of its measurements. Throws DataError. */
export async function digestsOf(
  { train, test }: { readonly train: Dataset; readonly test: Dataset },
  { knn }: Pick<TrainConfig, 'knn'>,
  sha256: Sha256,
): Promise<Digests> {
  const { k, temperature, bank, queries, layer = 'features' } = knn
  const measured = sha256()
  measured.update(textBytes([k, temperature, bank, queries, layer]))
  for (const { classes, labels } of [train, test]) {
    measured.update(textBytes([classes, labels?.length ?? null]))
    measured.update(bytesOf(labels))
  }
  await addImages(measured, test, usual)
  return { images: await imagesDigest(train, sha256), measured: measured.hex() }
}

/** Computes the digest of a set's images in their order. */
export async function imagesDigest(
  images: Dataset,
  sha256: Sha256,
  reach: Reach = usual,
): Promise<string> {
  const digest = sha256()
  await addImages(digest, images, reach)
  return digest.hex()
}

/** Tells whether a checkpoint was made with these images, null if it has no digest. `digest`
 *  computes the digest of the images. */
export async function isOf(
  images: Dataset,
  metadata: Readonly<Record<string, string>>,
  digest: () => Promise<string>,
): Promise<boolean | null> {
  const { images: saved } = digestsIn(metadata)
  if (saved !== undefined) return saved === (await digest())
  const { images: old } = metadata
  return old === undefined ? null : old === (await sampleOf(images))
}

/** Adds the size and the pixels of a set's images to a digest. */
async function addImages(digest: Digest, dataset: Dataset, reach: Reach) {
  const { size, originals } = dataset
  const { image, read } = originals ?? dataset
  const bytes = imageBytes({ image })
  digest.update(textBytes([size, image.height, image.width, image.channels]))
  digest.update(bytesOf(originals?.extents ?? null))
  const isWhole = size * bytes <= reach.whole
  if (!isWhole) await addSizes(digest, dataset)
  const count = isWhole
    ? size
    : Math.min(size, Math.max(reach.least, Math.floor(reach.sample / bytes)))
  const each = Math.max(1, Math.floor(CHUNK / bytes))
  for (let from = 0; from < count; from += each) {
    const length = Math.min(each, count - from)
    const indices = Uint32Array.from({ length }, (_, i) => Math.floor(((from + i) * size) / count))
    const pixels = new Uint8Array(length * bytes)
    await read(indices, pixels)
    digest.update(pixels)
  }
}

/** Adds the size of every file to a digest, null for a missing file. */
async function addSizes(digest: Digest, { size, fileSizes }: Dataset) {
  if (!fileSizes) return
  for (let from = 0; from < size; from += FILES) {
    const length = Math.min(FILES, size - from)
    const some = Uint32Array.from({ length }, (_, i) => from + i)
    digest.update(textBytes(await fileSizes(some)))
  }
}

const textBytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

const bytesOf = (numbers: Int32Array | Float32Array | null) =>
  numbers
    ? new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)
    : new Uint8Array(0)

/** Computes the hash of older checkpoints: FNV-1a of the set's size and of the pixels of 32 images,
 *  evenly spread, in eight hexadecimal digits. */
export async function sampleOf(images: Dataset): Promise<string> {
  const count = Math.min(SAMPLED, images.size)
  const indices = Uint32Array.from({ length: count }, (_, i) =>
    Math.floor((i * images.size) / count),
  )
  const pixels = new Uint8Array(count * imageBytes(images))
  await images.read(indices, pixels)
  let hash = 0x811c9dc5 ^ images.size
  for (const byte of pixels) hash = Math.imul(hash ^ byte, 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
