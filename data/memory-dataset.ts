// A set of images whose pixels are in memory. Imports nothing of Node, so that a browser can use
// it.

import { bytesOf, integersOf } from '../kernels/numbers.ts'
import type { TypedValues } from '../kernels/op.ts'
import {
  type Rules,
  anything,
  checkOptions,
  describe,
  having,
  needed,
  orNull,
  said,
  text,
} from '../kernels/options.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'
import { DataError, type Dataset, checkRead, imageBytes } from './dataset.ts'
import { counted } from './words.ts'

/** Most classes that get their numbers as names: 48 times those of ImageNet-21k. */
const MOST_CLASSES = 2 ** 20

/** Images in memory, as `memoryDataset` takes them. */
export interface ImagesInMemory {
  /** [N, H, W, 3], one image behind another: whole numbers from 0 to 255 in an array of any kind.
   *  Bytes are used where they are, not copied. */
  readonly pixels: TypedValues | readonly number[]
  /** Size of an image in pixels; `channels` is 3. */
  readonly image: Dataset['image']
  /** Name of the set, for messages; 'images' by default. */
  readonly name?: string
  /** [N], each an index into `classes`, -1 for an image without; null, the default, for none. */
  readonly labels?: IndexList | null
  /** Name of each class, none empty; by default the labels' numbers, which are below 2^20. */
  readonly classes?: readonly string[]
  /** [N], a name for each image, such as its file's. */
  readonly files?: readonly string[]
}

const rules: Rules<ImagesInMemory> = {
  pixels: needed(said('bytes [N, H, W, 3] in an array')),
  image: needed(having('{ height, width, channels }', 'height', 'width', 'channels')),
  name: text,
  labels: orNull(having('an array of whole numbers', 'length')),
  classes: having('an array of names', 'length'),
  files: anything,
}

/** Makes a set of images in memory, for `batches`, `residentImages` and `train`. Throws TypeError,
 *  RangeError for a number that is no byte, and DataError where counts differ or a label is none of
 *  the classes. */
export function memoryDataset(given: ImagesInMemory): Dataset {
  const { name = 'images', image, files, ...rest } = checkOptions('memoryDataset', given, rules)
  const pixels = bytesOf(`${name}: pixels`, rest.pixels)
  const labels = rest.labels ? integersOf(`${name}: labels`, rest.labels) : null
  const classes = rest.classes ? named(name, rest.classes) : numbered(name, labels)
  const stride = checkedStride(name, image)
  const size = pixels.length / stride
  checkCounts({ name, image, size, bytes: pixels.length }, { labels, files })
  checkLabels(name, labels, classes)
  return {
    ...{ name, size, image, classes, labels, skipped: [] },
    ...(files && { files }),
    async read(indices, out) {
      checkRead({ name, size }, stride, indices, out)
      for (let n = 0; n < indices.length; n++) {
        const from = Number(indices[n]) * stride
        out.set(pixels.subarray(from, from + stride), n * stride)
      }
    },
  }
}

function checkedStride(name: string, image: Dataset['image']): number {
  const { height, width, channels } = image
  const isSize = [height, width].every((side) => Number.isInteger(side) && side > 0)
  if (isSize && channels === 3) return imageBytes({ image })
  throw new DataError(
    `${name}: image must have a height and width in whole pixels and 3 channels, ` +
      `got ${height} x ${width} x ${channels}`,
  )
}

interface Counted extends Pick<Dataset, 'name' | 'image' | 'size'> {
  readonly bytes: number
}

function checkCounts(
  { name, image, size, bytes }: Counted,
  { labels, files }: Pick<Dataset, 'labels'> & { readonly files: readonly string[] | undefined },
) {
  const { height, width, channels } = image
  if (!Number.isInteger(size))
    throw new DataError(
      `${name}: pixels must be whole images of ${height} x ${width} x ${channels} bytes, ` +
        `got ${counted(bytes, 'byte')}`,
    )
  for (const [what, list] of [
    ['label', labels],
    ['file', files],
  ] as const)
    if (list && list.length !== size)
      throw new DataError(
        `${name}: there must be one ${what} per image, ` +
          `got ${counted(list.length, what)} and ${counted(size, 'image')}`,
      )
}

function checkLabels(name: string, labels: Int32Array | null, { length }: readonly string[]) {
  const at = labels?.findIndex((label) => label < -1 || label >= length) ?? -1
  if (at >= 0)
    throw new DataError(
      `${name}: a label must be one of the ${counted(length, 'class', 'classes')}, numbered from 0, ` +
        `or -1 for none, got ${labels?.[at]} at ${at}`,
    )
}

/** The names of the classes. Throws DataError for one that is no text, or empty. */
function named(name: string, classes: readonly string[]): readonly string[] {
  const at = classes.findIndex((one: unknown) => typeof one !== 'string' || one === '')
  if (at < 0) return classes
  throw new DataError(
    `${name}: each class must have a name, got ${describe(classes[at])} at ${at}; name it, or leave ` +
      'classes out',
  )
}

/** The numbers of the labels as names. Throws DataError for more classes than can be named: a label
 *  may be any number, as in a damaged file. */
function numbered(name: string, labels: Int32Array | null): readonly string[] {
  const length = labels ? labels.reduce((a, b) => Math.max(a, b + 1), 0) : 0
  if (length > MOST_CLASSES)
    throw new DataError(
      `${name}: a label without class names must be below ${MOST_CLASSES}, got ${length - 1} at ` +
        `${labels?.indexOf(length - 1)}; number the classes from 0`,
    )
  return Array.from({ length }, (_, i) => String(i))
}
