// A data set as one safetensors file: the bytes that are trained on, whatever decoded them. So a
// page and a server train on the same images. Imports nothing of Node.
//
// Of each half, `train` and `test`, the tensors are, with N images:
//   train.pixels   u8 [N, H, W, 3]
//   train.labels   i32 [N], indices of classes, -1 for none; absent without labels
// and, where crops are cut from whole images of several sizes:
//   train.whole    u8 [B], the whole images, one behind another
//   train.extents  i32 [N, 2], height and width of each; absent where all fill the space
//   train.space    i32 [2], height and width of the space that holds the largest
//   train.bytes    i64 [N], the sizes of their files, -1 for one that is gone
// The metadata are texts: `train.classes` and `train.files` are lists in JSON.

import type { SafetensorsFile, SavedTensor } from '../engine/safetensors.ts'
import { DataError, type Dataset, type Originals, type Split, imageBytes } from './dataset.ts'
import { counted } from './words.ts'

/** Name of the file in a run folder, and in a packed run. */
export const IMAGES = 'images.safetensors'
/** Most pixels of the space that holds the largest image. */
export const MOST_SPACE = 2 ** 26
const MOST = 2 ** 30 // bytes of pixels in a file
/** Most bytes of such a file: 1 GiB of pixels, with room for names, labels and sizes. */
export const MOST_FILE = MOST + 2 ** 28
const ROOM = 4 // sides of a square that a space may have, whatever it holds
const CHUNK = 2 ** 23 // bytes per read

type Named = readonly [name: string, tensor: SavedTensor]

/** Returns the bytes of pixels that a file of these images has: those that are trained on, and the
 *  squares that are measured. */
export const pixelBytes = ({ train, test }: Split): number => bytesOfHalf(train) + bytesOfHalf(test)

const bytesOfHalf = (set: Dataset) => set.size * imageBytes(set) + wholeBytes(set)

/** The bytes of the whole images, each as large as it is. */
function wholeBytes({ originals, size }: Dataset): number {
  if (!originals) return 0
  const { extents } = originals
  if (!extents) return size * imageBytes(originals)
  let pixels = 0
  for (let i = 0; i < size; i++) pixels += (extents[2 * i] ?? 0) * (extents[2 * i + 1] ?? 0)
  return 3 * pixels
}

/** Returns the largest space that whole images may have: the largest height and width among them,
 *  or four sides of their squares, if that is more. Those of a folder have at most as much, even
 *  where a subset leaves the largest out. So no small file asks for large tensors. */
export function mostSpace(
  { height, width }: Dataset['image'],
  extents: ArrayLike<number>,
): Pick<Dataset['image'], 'height' | 'width'> {
  const most = [ROOM * height, ROOM * width]
  for (let i = 0; i < extents.length; i++) most[i % 2] = Math.max(most[i % 2] ?? 0, extents[i] ?? 0)
  return { height: most[0] ?? 0, width: most[1] ?? 0 }
}

/** Throws DataError if images take more than 1 GiB in a file, or one alone more than is read
 *  again. */
export function checkCarriable(split: Split) {
  for (const { name, image, originals } of [split.train, split.test]) {
    const { height, width } = originals?.image ?? { height: 0, width: 0 }
    const most = originals?.extents && mostSpace(image, originals.extents)
    if (most && (height > most.height || width > most.width))
      throw new DataError(
        `${name}: the whole images lie in a space of ${height} x ${width} pixels, and one file ` +
          `carries at most ${most.height} x ${most.width} for them; make it as large as the largest`,
      )
    if (height * width > MOST_SPACE)
      throw new DataError(
        `${name}: the whole images need a space of ${height} x ${width} pixels, and one file ` +
          `carries at most ${MOST_SPACE} pixels each; carry the files themselves`,
      )
  }
  const bytes = pixelBytes(split)
  if (bytes > MOST)
    throw new DataError(
      `${split.train.name}: ${counted(split.train.size + split.test.size, 'image')} take ${bytes} ` +
        `bytes as pixels, and one file carries at most ${MOST}, since a page holds it in memory; ` +
        'carry the files themselves, or train on a subset',
    )
}

/** Puts a data set into a file. Throws DataError if it takes more than 1 GiB, or cannot be read. */
export async function filedImages(split: Split): Promise<SafetensorsFile> {
  checkCarriable(split)
  const found: Named[] = []
  const metadata: Record<string, string> = {}
  for (const half of ['train', 'test'] as const) {
    const set = split[half]
    for (const [name, tensor] of await tensorsOf(set)) found.push([`${half}.${name}`, tensor])
    metadata[`${half}.classes`] = JSON.stringify(set.classes)
    if (set.files) metadata[`${half}.files`] = JSON.stringify(set.files)
  }
  const { split: words, from } = split.about ?? {}
  if (words !== undefined) metadata['split'] = words
  if (from !== undefined) metadata['from'] = from
  // the widest values first, so that all are aligned in the file
  found.sort(([, a], [, b]) => b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT)
  return { tensors: new Map(found), metadata }
}

async function tensorsOf(set: Dataset): Promise<readonly Named[]> {
  const { size, image, labels, originals, fileSizes } = set
  const pixels = new Uint8Array(size * imageBytes(set))
  await inChunks(set, size, (some, from) => pixels.set(some, from * imageBytes(set)))
  const shape = [size, image.height, image.width, image.channels]
  const found: Named[] = [['pixels', { shape, data: pixels }]]
  if (labels) found.push(['labels', { shape: [size], data: labels }])
  if (originals) found.push(...(await wholeOf(set, originals)))
  if (fileSizes) {
    const sizes = await fileSizes(Uint32Array.from({ length: size }, (_, i) => i))
    found.push([
      'bytes',
      { shape: [size], data: BigInt64Array.from(sizes, (n) => BigInt(n ?? -1)) },
    ])
  }
  return found
}

async function wholeOf(set: Dataset, originals: Originals): Promise<readonly Named[]> {
  const { image, extents } = originals
  const whole = new Uint8Array(wholeBytes(set))
  const row = 3 * image.width
  let end = 0
  await inChunks(originals, set.size, (some, from) => {
    for (let n = 0; n * image.height * row < some.length; n++) {
      const [height, width] = extentAt(extents, from + n) ?? [image.height, image.width]
      for (let y = 0; y < height; y++, end += 3 * width) {
        const at = (n * image.height + y) * row
        whole.set(some.subarray(at, at + 3 * width), end)
      }
    }
  })
  const found: Named[] = [
    ['whole', { shape: [whole.length], data: whole }],
    ['space', { shape: [2], data: Int32Array.of(image.height, image.width) }],
  ]
  if (extents) found.push(['extents', { shape: [set.size, 2], data: Int32Array.from(extents) }])
  return found
}

const extentAt = (extents: Float32Array | null, i: number): readonly [number, number] | null =>
  extents && [extents[2 * i] ?? 0, extents[2 * i + 1] ?? 0]

/** Reads images in order, some at a time. */
async function inChunks(
  { image, read }: Pick<Dataset, 'image' | 'read'>,
  size: number,
  take: (pixels: Uint8Array, from: number) => void,
) {
  const bytes = imageBytes({ image })
  const each = Math.max(1, Math.floor(CHUNK / bytes))
  for (let from = 0; from < size; from += each) {
    const length = Math.min(each, size - from)
    const pixels = new Uint8Array(length * bytes)
    await read(
      Uint32Array.from({ length }, (_, i) => from + i),
      pixels,
    )
    take(pixels, from)
  }
}
