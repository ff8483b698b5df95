// The interface of every source of images: u8 images of one size, labels where there are any, and a
// function that reads some of them. Imports nothing of Node, so that a browser can use it.

import { printable } from '../kernels/printable.ts'
import { checkValue, having } from '../kernels/options.ts'
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
  /** Absolute path of the file or folder that was read; null where images are drawn, or carried
   *  in one file. */
  readonly path: string | null
  /** Source of images that are carried in one file, before they were: 'folder:/photos'. */
  readonly from?: string
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

const oneHalf = having('a data set such as (await openData(...)).train', 'read', 'size', 'image')
/** The rule of both halves; `checkSplit` looks at each too. */
export const bothHalves = having('both halves of a data set', 'train', 'test')

/** Throws TypeError unless `dataset` is a set of images, such as one half of what `openData`
 *  resolves to. The message begins with `owner`. */
export function checkDataset(owner: string, dataset: unknown) {
  const isSplit = typeof dataset === 'object' && dataset !== null && 'train' in dataset
  if (isSplit)
    throw new TypeError(
      `${owner}: the data set must be one half, got both; give its train or its test`,
    )
  checkValue(owner, 'the data set', dataset, oneHalf)
}

/** Throws TypeError unless `images` are both halves of a data set, such as `openData` resolves to.
 *  The message begins with `owner` and calls them `name`. */
export function checkSplit(owner: string, name: string, images: unknown) {
  const split = checkValue(owner, name, images, bothHalves) as Split
  for (const half of ['train', 'test'] as const)
    checkValue(owner, `${name}.${half}`, split[half], oneHalf)
}

/** Returns the bytes of one image of the set. */
export const imageBytes = ({ image }: Pick<Dataset, 'image'>) =>
  image.height * image.width * image.channels

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
