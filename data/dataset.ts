// What every source of images is to the rest: so many u8 images of one size, labels when there are any, and a way to
// read some of them. No Node imports, so that a browser can bring its own.

import { printable } from '../kernels/printable.ts'
import { checkValue, describe, having, whole } from '../kernels/options.ts'
import { threefry2x32 } from '../kernels/wgsl/threefry.ts'
import { counted } from './words.ts'

/** A set of images of one size. */
export interface Dataset {
  /** What kind of source it came from: 'cifar10', 'folder', 'procedural'. */
  readonly name: string
  /** Number of images. */
  readonly size: number
  /** Pixels; channels is always 3, grey sets are replicated to RGB. */
  readonly image: { readonly height: number; readonly width: number; readonly channels: number }
  /** The name of each class; empty when the set has no labels. */
  readonly classes: readonly string[]
  /** [size], each an index into `classes`; null when the set has no labels. */
  readonly labels: Int32Array | null
  /** [size], the file each image comes from, where each has its own. */
  readonly files?: readonly string[]
  /** The images whole, for views that are cropped at random, where `read` gives their middle
   *  squares only. */
  readonly originals?: Originals
  /** The files that were left out, and why. */
  readonly skipped: readonly Skipped[]
  /** Copies the images at `indices` into `out`, u8 [N, H, W, C]. Throws DataError. */
  read(indices: ArrayLike<number>, out: Uint8Array): Promise<void>
  /** Lets go of open files. */
  close?(): Promise<void>
}

/** Images of several sizes, each from the upper left corner of a space that holds the largest. */
export interface Originals {
  /** Pixels of the space. */
  readonly image: Dataset['image']
  /** [size, 2], the height and width of each; null where all fill the space. */
  readonly extents: Float32Array<ArrayBuffer> | null
  /** Copies the images at `indices` into `out`, u8 [N, H, W, C], zero beyond each. Throws
   *  DataError. */
  read(indices: ArrayLike<number>, out: Uint8Array): Promise<void>
}

export interface Skipped {
  readonly file: string
  readonly reason: string
}

/** The two halves of a source. */
export interface Split {
  readonly train: Dataset
  readonly test: Dataset
  /** What was read, for those who want to tell it. */
  readonly about?: About
}

/** What a source was taken for. */
export interface About {
  /** The file or folder that was read, absolute; null where images are drawn. */
  readonly path: string | null
  /** Where the split comes from, in words, such as 'folders train and val'. */
  readonly split: string
  /** What was guessed and what is odd, a sentence each. */
  readonly notes: readonly string[]
  /** Files that are not taken, since their extension is none of an image. */
  readonly others: readonly string[]
}

/** Thrown when data cannot be used: what it is, the rule, the value, and the remedy, in one line
 *  that a terminal can print whatever names it holds. */
export class DataError extends Error {
  override readonly name = 'DataError'

  constructor(message: string, options?: ErrorOptions) {
    super(printable(message), options)
  }
}

/** Throws TypeError, in the name of `owner`, unless this is a set of images, one half of what
 *  `openData` resolves to. */
export function checkDataset(owner: string, dataset: unknown) {
  const isSplit = typeof dataset === 'object' && dataset !== null && 'train' in dataset
  if (isSplit)
    throw new TypeError(`${owner}: the data set must be one half, got both; give its train or its test`)
  checkValue(
    owner,
    'the data set',
    dataset,
    having('a data set such as (await openData(...)).train', 'read', 'size', 'image'),
  )
}

/** Bytes of one image of the set. */
export const imageBytes = ({ image }: Pick<Dataset, 'image'>) => image.height * image.width * image.channels

/** A set whose pixels [size, H, W, C] are all in memory. Throws DataError when the counts do not agree. */
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
      `${name}: pixels must be whole images of ${height} x ${width} x ${channels} bytes, got ${counted(pixels.length, 'byte')}`,
    )
  if (labels && labels.length !== size)
    throw new DataError(
      `${name}: there must be one label per image, got ${counted(labels.length, 'label')} and ${counted(size, 'image')}`,
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

/** Throws DataError when `indices` reach outside the set or `out` cannot hold their images of `stride` bytes. */
export function checkRead(
  { name, size }: Pick<Dataset, 'name' | 'size'>,
  stride: number,
  indices: ArrayLike<number>,
  out: Uint8Array,
) {
  if (out.length < indices.length * stride)
    throw new DataError(
      `${name}: ${counted(indices.length, 'image needs', 'images need')} ${indices.length * stride} bytes, got room for ${out.length}`,
    )
  for (let n = 0; n < indices.length; n++) {
    const index = Number(indices[n])
    if (!(Number.isInteger(index) && index >= 0 && index < size))
      throw new DataError(`${name}: an index must be from 0 to ${size - 1}, got ${index}`)
  }
}

/** The images of `dataset` at `indices`, in that order, as a set of its own. Throws DataError. */
export function select(dataset: Dataset, indices: ArrayLike<number>): Dataset {
  checkRead(dataset, 0, indices, new Uint8Array(0))
  const chosen = Uint32Array.from(indices)
  const { originals } = dataset
  return {
    ...dataset,
    ...(originals && { originals: selectOriginals(originals, chosen) }),
    size: chosen.length,
    ...(dataset.files && { files: Array.from(chosen, (i) => dataset.files?.[i] ?? '') }),
    labels: dataset.labels && Int32Array.from(chosen, (i) => Number(dataset.labels?.[i])),
    async read(wanted, out) {
      checkRead({ name: dataset.name, size: chosen.length }, imageBytes(dataset), wanted, out)
      await dataset.read(
        Uint32Array.from(wanted, (n) => Number(chosen[n])),
        out,
      )
    },
  }
}

/** Whether any image of the set has a label. */
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

/** The extents [N, 2] of the images at `indices`. */
export const extentsAt = (extents: Float32Array, indices: ArrayLike<number>): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: 2 * indices.length }, (_, i) =>
    Number(extents[2 * Number(indices[i >> 1]) + (i & 1)]),
  )

/** The images of the set that have a label, not -1, as a set of its own. */
export function labelled(dataset: Dataset): Dataset {
  const { labels } = dataset
  if (!labels?.includes(-1)) return dataset
  return select(
    dataset,
    [...labels.keys()].filter((i) => (labels[i] ?? -1) >= 0),
  )
}

/** `n` images of the set, chosen by `seed` alone, as many of each class as there are (counts differ by one at most
 *  while no class runs out). The whole set, in its own order, when it has no more than `n`. */
export function subset(dataset: Dataset, n: number, seed: number): Dataset {
  checkDataset('subset', dataset)
  checkValue('subset', 'seed', seed, whole)
  if (!(Number.isInteger(n) && n > 0))
    throw new DataError(`${dataset.name}: a subset must have at least 1 image, got ${describe(n)}`)
  return n >= dataset.size ? dataset : select(dataset, subsetPlaces(dataset, n, seed))
}

/** The places in the set of the `n` images that `subset` takes, in order. */
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

const SUBSET = 0x5ab5e7 // stream of the subset's draws

/** 0 .. size-1 in an order that depends on the key alone (Fisher-Yates, one threefry draw per swap). */
export function permutation(size: number, key: readonly [number, number]): Uint32Array<ArrayBuffer> {
  const order = Uint32Array.from({ length: size }, (_, i) => i)
  for (let i = size - 1; i > 0; i--) {
    const [high, low] = threefry2x32(key, [i, 0])
    // 53 random bits: the bias of scaling them to i + 1 values is below 2^-21 for any size that fits in memory
    const j = Math.floor(((high >>> 5) * 2 ** 26 + (low >>> 6)) * 2 ** -53 * (i + 1))
    const held = order[i] ?? 0
    order[i] = order[j] ?? 0
    order[j] = held
  }
  return order
}
