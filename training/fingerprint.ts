// What tells one data set from another, so that a run goes on with the images that it began with,
// and compares accuracies that were measured on the same ones.
//
// Of a set whose pixels are at most 1 GiB every byte is looked at. Of a larger one, which is
// streamed, every image's place and, where each has a file of its own, that file's size; and the
// pixels of 256 MiB of them, evenly spread, or of 512 images.

import { type Dataset, imageBytes } from '../data/dataset.ts'
import type { TrainConfig } from './run-schema.ts'
import type { Digest, Sha256 } from './storage.ts'

/** How much is looked at. */
interface Reach {
  /** Bytes of pixels up to which a set is looked at whole. */
  readonly whole: number
  /** Bytes of pixels, and images at least, that are looked at of a larger one. */
  readonly sample: number
  readonly least: number
}

const usual: Reach = { whole: 2 ** 30, sample: 2 ** 28, least: 512 }
const CHUNK = 2 ** 23 // bytes that are read at a time
const FILES = 256 // files that are asked for their size at a time
const SAMPLED = 32 // images that older checkpoints tell of

/** SHA-256 digests in hexadecimal. */
export interface Digests {
  /** Of the training images in their order. */
  readonly images: string
  /** Of all else that kNN accuracy depends on: labels, names of classes, test images, settings. */
  readonly measured: string
}

const [IMAGES, MEASURED] = ['images.sha256', 'measured.sha256']

/** The metadata of a checkpoint that says which data it was made with. */
export const dataMetadata = ({ images, measured }: Digests): Readonly<Record<string, string>> => ({
  [IMAGES]: images,
  [MEASURED]: measured,
})

/** The digests that a checkpoint holds; one from before they were kept has none. */
export const digestsIn = (metadata: Readonly<Record<string, string>>): Partial<Digests> => ({
  ...(metadata[IMAGES] !== undefined && { images: metadata[IMAGES] }),
  ...(metadata[MEASURED] !== undefined && { measured: metadata[MEASURED] }),
})

/** The digests of a run's training images and of what it measures. Throws DataError. */
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

/** The digest of a set's images in their order. */
export async function imagesDigest(
  images: Dataset,
  sha256: Sha256,
  reach: Reach = usual,
): Promise<string> {
  const digest = sha256()
  await addImages(digest, images, reach)
  return digest.hex()
}

/** Whether a checkpoint was made with these images, whose digest `digest` gives; null where it does
 *  not say. */
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

/** Adds the size of every file; one that is gone has none. */
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

/** What older checkpoints hold: eight hexadecimal digits of the set's size and of the pixels of
 *  some of its images, evenly spread (FNV-1a). */
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
