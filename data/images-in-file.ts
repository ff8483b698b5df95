// Reads a data set from a safetensors file (data/images-file.ts has its tensors). What the file
// says is checked first: it may come from anywhere. Imports nothing of Node.

import type { SafetensorsFile, SavedTensor } from '../engine/safetensors.ts'
import { printable } from '../kernels/printable.ts'
import {
  DataError,
  type Dataset,
  type Originals,
  type Split,
  checkRead,
  imageBytes,
} from './dataset.ts'
import { MOST_SPACE, filedImages, mostSpace } from './images-file.ts'
import { memoryDataset } from './memory-dataset.ts'
import { counted } from './words.ts'

const NAME = 'file' // of the kind, as 'folder'

/** Returns the images of a file. Messages call it `name`; `path` is where it lies. A file without
 *  test images has none to measure. Throws DataError in words for one that is damaged, or holds
 *  something else. */
export function imagesIn(file: SafetensorsFile, name: string, path = name): Split {
  const { from, split: words = 'its halves' } = file.metadata
  const train = halfOf(new Reading(file, name, 'train'))
  if (train.size === 0) throw new DataError(`${name}: it has no image to train on`)
  const test = file.tensors.has('test.pixels')
    ? halfOf(new Reading(file, name, 'test'), train.classes)
    : memoryDataset({ name: NAME, image: train.image, classes: train.classes, pixels: [] })
  const [a, b] = [train.image, test.image]
  if (a.height !== b.height || a.width !== b.width)
    throw new DataError(
      `${name}: test.pixels must have the sides of train.pixels, ${a.height} x ${a.width}, ` +
        `got ${b.height} x ${b.width}`,
    )
  const origin = from === undefined ? '' : `, first read from ${printable(from)}`
  const split = printable(words)
  const about = {
    path: null,
    split,
    notes: [`from the file ${printable(path)}${origin}`],
    others: [],
  }
  return { train, test, about: { ...about, ...(from !== undefined && { from }) } }
}

/** Puts a data set into a file, as `filedImages` does, that `imagesIn` takes. Throws DataError, in
 *  the name of `owner`, for images that it would refuse: what is written can be read. */
export async function checkedFile(images: Split, owner: string): Promise<SafetensorsFile> {
  const file = await filedImages(images)
  imagesIn(file, owner)
  return file
}

/** One half of a file. */
class Reading {
  readonly name: string
  readonly half: 'train' | 'test'
  readonly #file: SafetensorsFile

  constructor(file: SafetensorsFile, name: string, half: Reading['half']) {
    this.name = name
    this.half = half
    this.#file = file
  }

  has(what: string): boolean {
    return this.#file.tensors.has(`${this.half}.${what}`)
  }

  /** Returns the values of a tensor. Throws DataError unless its kind and sizes are these; null
   *  stands for any size. */
  tensor<T extends SavedTensor['data']>(
    what: string,
    kind: Kind<T>,
    sizes: readonly (number | null)[],
  ): { readonly shape: SavedTensor['shape']; readonly data: T } {
    const { [kind.name]: dtype } = dtypes
    const rule = `${dtype} [${sizes.map((size, i) => size ?? 'NHWC'.charAt(i)).join(', ')}]`
    const found = this.#file.tensors.get(`${this.half}.${what}`)
    if (!found) throw this.wrong(what, `is missing; it must be ${rule}`)
    const { shape, data } = found
    const fits =
      shape.length === sizes.length && sizes.every((size, i) => size === null || size === shape[i])
    if (fits && data instanceof kind) return { shape, data }
    const { [data.constructor.name]: got } = dtypes
    throw this.wrong(what, `must be ${rule}, got ${got} [${shape.join(', ')}]`)
  }

  /** Returns a list of texts; null where the file has none. Throws DataError for anything else. */
  texts(what: string): readonly string[] | null {
    const { [`${this.half}.${what}`]: text } = this.#file.metadata
    if (text === undefined) return null
    const list = parsed(text)
    if (Array.isArray(list) && list.every((one) => typeof one === 'string')) return list
    throw this.wrong(what, `must be a list of texts in JSON, got ${text.slice(0, 60)}`)
  }

  wrong(what: string, words: string): DataError {
    return new DataError(`${this.name}: ${this.half}.${what} ${words}`)
  }
}

type Kind<T> = (new (...given: never[]) => T) & { readonly name: string }

const dtypes: Readonly<Record<string, string>> = {
  ...{ Uint8Array: 'u8', Int32Array: 'i32', BigInt64Array: 'i64', Float32Array: 'f32' },
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** Reads one half. Labels without class names are indices of `known`, or else their own names. */
function halfOf(reading: Reading, known?: readonly string[]): Dataset {
  const { name, half } = reading
  const { shape, data: pixels } = reading.tensor('pixels', Uint8Array, [null, null, null, 3])
  const [size = 0, height = 0, width = 0] = shape
  if (height === 0 || width === 0)
    throw reading.wrong('pixels', `must have a height and a width, got [${shape.join(', ')}]`)
  const classes = reading.texts('classes')
  const files = reading.texts('files')
  const labels = reading.has('labels') ? reading.tensor('labels', Int32Array, [size]).data : null
  if (classes && classes.length > 0 && !labels)
    throw reading.wrong(
      'labels',
      `is missing, and the file names ${counted(classes.length, 'class', 'classes')}`,
    )
  const image = { height, width, channels: 3 }
  const names = classes ?? (labels && known?.length ? known : null)
  const given = { name: `${name}: ${half}`, pixels, image, labels }
  const set = memoryDataset({ ...given, ...(names && { classes: names }), ...(files && { files }) })
  return {
    ...{ ...set, name: NAME },
    ...(reading.has('bytes') && { fileSizes: sizesOf(reading, size) }),
    ...(hasWhole(reading) && { originals: originalsIn(reading, image, size) }),
  }
}

function sizesOf(reading: Reading, size: number): NonNullable<Dataset['fileSizes']> {
  const { data } = reading.tensor('bytes', BigInt64Array, [size])
  const sizeAt = (i: number) => Number(data[i] ?? -1n)
  return (indices) =>
    Promise.resolve(Array.from(indices, (i) => (sizeAt(i) < 0 ? null : sizeAt(i))))
}

/** Tells whether a half has whole images. Throws DataError for what is said of none. */
function hasWhole(reading: Reading): boolean {
  if (reading.has('whole')) return true
  const lone = ['space', 'extents'].find((what) => reading.has(what))
  if (lone === undefined) return false
  throw reading.wrong(lone, `is of whole images, and ${reading.half}.whole is missing`)
}

function originalsIn(reading: Reading, square: Dataset['image'], size: number): Originals {
  const { data: space } = reading.tensor('space', Int32Array, [2])
  const [height = 0, width = 0] = space
  if (!(height > 0 && width > 0 && height * width <= MOST_SPACE))
    throw reading.wrong('space', `must hold 1 to ${MOST_SPACE} pixels, got ${height} x ${width}`)
  const image = { height, width, channels: 3 }
  const extents = reading.has('extents')
    ? reading.tensor('extents', Int32Array, [size, 2]).data
    : Int32Array.from({ length: 2 * size }, (_, i) => space[i % 2] ?? 0)
  const begins = beginsOf(reading, extents, image)
  const { data: whole } = reading.tensor('whole', Uint8Array, [begins[size] ?? 0])
  const most = mostSpace(square, extents)
  if (height > most.height || width > most.width)
    throw reading.wrong(
      'space',
      `must be as large as the largest image, at most ${most.height} x ${most.width}, got ` +
        `${height} x ${width}`,
    )
  return {
    image,
    extents: reading.has('extents') ? Float32Array.from(extents) : null,
    async read(indices, out) {
      const bytes = imageBytes({ image })
      checkRead({ name: NAME, size }, bytes, indices, out)
      for (let n = 0; n < indices.length; n++) {
        const i = Number(indices[n])
        const [h = 0, w = 0] = extents.subarray(2 * i)
        const room = out.subarray(n * bytes, (n + 1) * bytes).fill(0)
        for (let y = 0; y < h; y++) {
          const from = (begins[i] ?? 0) + 3 * w * y
          room.set(whole.subarray(from, from + 3 * w), 3 * width * y)
        }
      }
    },
  }
}

/** Returns where each image begins in the bytes of all, and where the last ends. Throws DataError
 *  for one that is empty, or larger than the space. */
function beginsOf(
  reading: Reading,
  extents: Int32Array,
  { height, width }: Dataset['image'],
): Float64Array {
  const begins = new Float64Array(extents.length / 2 + 1)
  for (let i = 0; i + 1 < begins.length; i++) {
    const [h = 0, w = 0] = extents.subarray(2 * i)
    if (!(h > 0 && w > 0 && h <= height && w <= width))
      throw reading.wrong('extents', `must lie in ${height} x ${width}, got ${h} x ${w} at ${i}`)
    begins[i + 1] = (begins[i] ?? 0) + 3 * h * w
  }
  return begins
}
