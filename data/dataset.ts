// The interface of every source of images: u8 images of one size, labels where there are any, and a
// function that reads some of them. Imports nothing of Node, so that a browser can use it.

import { printable } from '../kernels/printable.ts'
import { checkValue, describe, having, whole } from '../kernels/options.ts'
import { threefry2x32 } from '../kernels/wgsl/threefry.ts'
import { counted } from './words.ts'

/** A set of images of one size. */
export interface Dataset {
  /** Kind of the source: 'cifar10', 'folder', 'procedural'. */
  readonly name: string
  /** Number of images. */
  readonly size: number
  /** Size of an image in pixels. `channels` is always 3: grey is replicated to RGB. */
  readonly image: { readonly height: number; readonly width: number; readonly channels: number }
  /** Name of each class; empty when the set has no labels. */
  readonly classes: readonly string[]
  /** [size], each an index into `classes`, or -1 for an image without a label; null when the set
   *  has no labels. */
  readonly labels: Int32Array | null
  /** [size], the file of each image, where each has its own. */
  readonly files?: readonly string[]
  /** The sizes in bytes of the files of the images at `indices`, where each has its own; null for
   *  one that is gone. */
  fileSizes?(indices: ArrayLike<number>): Promise<readonly (number | null)[]>
  /** The whole images, for random crops, where `read` returns only their middle squares. */
  readonly originals?: Originals
  /** Files that were left out, and why. */
  readonly skipped: readonly Skipped[]
  /** Copies the images at `indices` into `out`, u8 [N, H, W, C]. Throws DataError. */
  read(indices: ArrayLike<number>, out: Uint8Array): Promise<void>
  /** Closes open files. */
  close?(): Promise<void>
}

/** Images of several sizes. Each is read into the upper left corner of a space that holds the
 *  largest. */
export interface Originals {
  /** Size of the space in pixels. */
  readonly image: Dataset['image']
  /** [size, 2], height and width of each image; null where all fill the space. */
  readonly extents: Float32Array<ArrayBuffer> | null
  /** Copies the images at `indices` into `out`, u8 [N, H, W, C], zero beyond each. Throws
   *  DataError. */
  read(indices: ArrayLike<number>, out: Uint8Array): Promise<void>
}

/** A file that was left out, and why. */
export interface Skipped {
  readonly file: string
  readonly reason: string
}

/** The two halves of a source. */
export interface Split {
  /** Images to train on. */
  readonly train: Dataset
  /** Images to measure with; may be empty. */
  readonly test: Dataset
  /** Description of the source, to be shown to a user. */
  readonly about?: About
}

/** Description of what was read from a source. */
export interface About {
  /** Absolute path of the file or folder that was read; null where images are drawn. */
  readonly path: string | null
  /** Origin of the split in words, such as 'folders train and val'. */
  readonly split: string
  /** Guesses and oddities, a sentence each. */
  readonly notes: readonly string[]
  /** Files that were not read, because their extensions are not those of images. */
  readonly others: readonly string[]
}

/** Error for data that cannot be used. The message names the data, the rule, the value and the
 *  remedy in one line; control characters are escaped. */
export class DataError extends Error {
  override readonly name = 'DataError'

  constructor(message: string, options?: ErrorOptions) {
    super(printable(message), options)
  }
}

/** Throws TypeError unless `dataset` is a set of images, such as one half of what `openData`
 *  resolves to. The message begins with `owner`. */
export function checkDataset(owner: string, dataset: unknown) {
  const isSplit = typeof dataset === 'object' && dataset !== null && 'train' in dataset
  if (isSplit)
    throw new TypeError(
      `${owner}: the data set must be one half, got both; give its train or its test`,
    )
  checkValue(
    owner,
    'the data set',
    dataset,
    having('a data set such as (await openData(...)).train', 'read', 'size', 'image'),
  )
}

/** Returns the bytes of one image of the set. */
export const imageBytes = ({ image }: Pick<Dataset, 'image'>) =>
  image.height * image.width * image.channels

/** Makes a set of pixels [size, H, W, C] in memory. Throws DataError when the counts differ. */
export function memoryDataset(
  set: Omit<Dataset, 'size' | 'skipped' | 'read'> & { pixels: Uint8Array },
): Dataset {
  const { pixels, ...rest } = set
  const { name, image, labels } = set
  const stride = imageBytes(set)
  const size = pixels.length / stride
  const { height, width, channels } = image
  if (!Number.isInteger(size))
    throw new DataError(
      `${name}: pixels must be whole images of ${height} x ${width} x ${channels} bytes, ` +
        `got ${counted(pixels.length, 'byte')}`,
    )
  if (labels && labels.length !== size)
    throw new DataError(
      `${name}: there must be one label per image, ` +
        `got ${counted(labels.length, 'label')} and ${counted(size, 'image')}`,
    )
  return {
    ...rest,
    size,
    skipped: [],
    async read(indices, out) {
      checkRead({ name, size }, stride, indices, out)
      for (let n = 0; n < indices.length; n++) {
        const from = Number(indices[n]) * stride
        out.set(pixels.subarray(from, from + stride), n * stride)
      }
    },
  }
}

/** Throws DataError unless indices are integers in [0, size) and `out` holds as many images. */
export function checkRead(
  { name, size }: Pick<Dataset, 'name' | 'size'>,
  stride: number,
  indices: ArrayLike<number>,
  out: Uint8Array,
) {
  if (out.length < indices.length * stride)
    throw new DataError(
      `${name}: ${counted(indices.length, 'image needs', 'images need')} ` +
        `${indices.length * stride} bytes, got room for ${out.length}`,
    )
  for (let n = 0; n < indices.length; n++) {
    const index = Number(indices[n])
    if (!(Number.isInteger(index) && index >= 0 && index < size))
      throw new DataError(`${name}: an index must be from 0 to ${size - 1}, got ${index}`)
  }
}

/** Makes a set of the images at `indices`, in that order. Throws DataError unless each index is an
 *  integer in [0, size). */
export function select(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  checkRead(dataset, 0, indices, new Uint8Array(0))
  const chosen = Uint32Array.from(indices)
  const { originals, fileSizes } = dataset
  const at = (wanted: ArrayLike<number>) => Uint32Array.from(wanted, (n) => Number(chosen[n]))
  return {
    ...dataset,
    ...(originals && { originals: selectOriginals(originals, chosen) }),
    size: chosen.length,
    ...(dataset.files && { files: Array.from(chosen, (i) => dataset.files?.[i] ?? '') }),
    ...(fileSizes && { fileSizes: (wanted: ArrayLike<number>) => fileSizes(at(wanted)) }),
    labels: dataset.labels && Int32Array.from(chosen, (i) => Number(dataset.labels?.[i])),
    async read(wanted, out) {
      checkRead({ name: dataset.name, size: chosen.length }, imageBytes(dataset), wanted, out)
      await dataset.read(at(wanted), out)
    },
  }
}

/** Tells whether any image of the set has a label. */
export const isLabelled = ({ labels }: Pick<Dataset, 'labels'>): boolean =>
  labels?.some((label) => label >= 0) ?? false

function selectOriginals({ image, extents, read }: Originals, chosen: Uint32Array): Originals {
  return {
    image,
    extents: extents && extentsAt(extents, chosen),
    read: (wanted, out) =>
      read(
        Uint32Array.from(wanted, (n) => Number(chosen[n])),
        out,
      ),
  }
}

/** Returns the extents [N, 2] of the images at `indices`. */
export const extentsAt = (
  extents: Float32Array,
  indices: ArrayLike<number>,
): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: 2 * indices.length }, (_, i) =>
    Number(extents[2 * Number(indices[i >> 1]) + (i & 1)]),
  )

/** Makes a set of the images that have a label other than -1. */
export function labelled(dataset: Dataset): Dataset {
  const { labels } = dataset
  if (!labels?.includes(-1)) return dataset
  return select(
    dataset,
    [...labels.keys()].filter((i) => (labels[i] ?? -1) >= 0),
  )
}

/** Makes a set of `n` images that `seed` alone chooses, balanced by class: counts differ by at most
 *  one while no class runs out. Returns the set itself when it has no more than `n`. Throws
 *  DataError for an `n` below 1. */
export function subset(dataset: Dataset, n: number, seed: number): Dataset {
  checkDataset('subset', dataset)
  checkValue('subset', 'seed', seed, whole)
  if (!(Number.isInteger(n) && n > 0))
    throw new DataError(`${dataset.name}: a subset must have at least 1 image, got ${describe(n)}`)
  return n >= dataset.size ? dataset : select(dataset, subsetPlaces(dataset, n, seed))
}

/** Returns the indices of the `n` images that `subset` takes, ascending. */
export function subsetPlaces(
  dataset: Pick<Dataset, 'size' | 'labels'>,
  n: number,
  seed: number,
): readonly number[] {
  const groups = new Map<number, number[]>()
  for (const index of permutation(dataset.size, [seed, SUBSET])) {
    const label = dataset.labels?.[index] ?? 0
    const group = groups.get(label)
    if (group) group.push(index)
    else groups.set(label, [index])
  }
  const queues = [...groups].sort(([a], [b]) => a - b).map(([, queue]) => queue)
  const chosen: number[] = []
  for (let round = 0; chosen.length < Math.min(n, dataset.size); round++)
    for (const queue of queues) {
      const index = queue[round]
      if (index !== undefined && chosen.length < n) chosen.push(index)
    }
  return chosen.sort((a, b) => a - b)
}

const SUBSET = 0x5ab5e7 // stream of the subset's random draws

/** Permutes 0 .. size-1 by the key alone (Fisher-Yates, one Threefry draw per swap). */
export function permutation(
  size: number,
  key: readonly [number, number],
): Uint32Array<ArrayBuffer> {
  const order = Uint32Array.from({ length: size }, (_, i) => i)
  for (let i = size - 1; i > 0; i--) {
    const [high, low] = threefry2x32(key, [i, 0])
    // 53 random bits: scaling them to i + 1 values has a bias below 2^-21 for i < 2^32
    const j = Math.floor(((high >>> 5) * 2 ** 26 + (low >>> 6)) * 2 ** -53 * (i + 1))
    const held = order[i] ?? 0
    order[i] = order[j] ?? 0
    order[j] = held
  }
  return order
}
