// Reads STL-10 in its binary layout (https://cs.stanford.edu/~acoates/stl10). train_X.bin,
// test_X.bin and unlabeled_X.bin hold images of 3 x 96 x 96 bytes: red, green and blue, column by
// column. train_y.bin and test_y.bin hold labels from 1 to 10, one byte each. Images stay in the
// files until they are read: the unlabelled ones are 2.8 GB.

import { type FileHandle, open } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { reasonOf } from '../kernels/reason-of.ts'
import { DataError, type Dataset, type Split, checkRead } from './dataset.ts'
import { readDataFile, readLines, lookAt, namesIn, sizeOfFile } from './paths.ts'
import { counted } from './words.ts'

const SIDE = 96
const PLANE = SIDE * SIDE
const RECORD = 3 * PLANE
const CLASSES = 10
const image = { height: SIDE, width: SIDE, channels: 3 } as const
const FOLDER = 'stl10_binary' // folder that the archive unpacks to

export interface Stl10Options {
  /** True appends the unlabelled images, with label -1, to the training set; false by default. */
  readonly unlabeled?: boolean
}

/** Opens STL-10's two halves in the folder of its *.bin files or its parent. Throws DataError that
 *  names the file, and the record where it is cut short. */
export async function openStl10(
  path: string,
  { unlabeled = false }: Stl10Options = {},
): Promise<Split> {
  const found = await lookAt(path)
  if (found.status?.isFile())
    throw new DataError(`stl10: ${path} is a file; name the folder that holds the .bin files`)
  const names = await namesIn('stl10', path, 'the folder of the .bin files')
  const folder = names.includes(FOLDER) ? join(path, FOLDER) : path
  const classes = await classNames(folder)
  const labelled = await part(folder, 'train', classes)
  const test = await part(folder, 'test', classes)
  const more = unlabeled ? [await pixelFile(join(folder, 'unlabeled_X.bin'))] : []
  const extra = more.reduce((sum, { count }) => sum + count, 0)
  const labels = new Int32Array(labelled.labels.length + extra).fill(-1)
  labels.set(labelled.labels)
  return {
    train: dataset([labelled.pixels, ...more], labels, classes),
    test: dataset([test.pixels], test.labels, classes),
    about: { path: resolve(folder), split: 'its files', notes: [], others: [] },
  }
}

interface PixelFile {
  readonly path: string
  readonly count: number
}

/** Opens one labelled half. */
async function part(folder: string, half: 'train' | 'test', classes: readonly string[]) {
  const pixels = await pixelFile(join(folder, `${half}_X.bin`))
  const file = join(folder, `${half}_y.bin`)
  const bytes = await readDataFile('stl10', file).catch((cause: unknown) => {
    const why = reasonOf(cause)
    throw new DataError(`${why}; it must hold the labels of ${half}_X.bin`, { cause })
  })
  if (bytes.length !== pixels.count)
    throw new DataError(
      `stl10: ${file} must have one byte per image of ${half}_X.bin, ` +
        `got ${counted(bytes.length, 'byte')} for ${counted(pixels.count, 'image')}`,
    )
  const labels = Int32Array.from(bytes, (label) => label - 1)
  const wrong = labels.findIndex((label) => label < 0 || label >= classes.length)
  if (wrong >= 0)
    throw new DataError(
      `stl10: ${file}: record ${wrong} must have a label from 1 to ${classes.length}, ` +
        `got ${bytes[wrong] ?? ''}; it is damaged`,
    )
  return { pixels, labels }
}

/** Checks that a file holds whole images, and counts them. */
async function pixelFile(path: string): Promise<PixelFile> {
  const size = await sizeOfFile('stl10', path).catch((cause: unknown) => {
    const why = reasonOf(cause)
    throw new DataError(`${why}; the folder must hold the binary version's files, unpacked`, {
      cause,
    })
  })
  if (size === 0) throw new DataError(`stl10: ${path} is empty; get it again`)
  if (size % RECORD !== 0)
    throw new DataError(
      `stl10: ${path} must be whole records of ${RECORD} bytes, got ${counted(size, 'byte')}: record ` +
        `${Math.floor(size / RECORD)} (counted from 0) ends after ${counted(size % RECORD, 'byte')}; ` +
        `get it again`,
    )
  return { path, count: size / RECORD }
}

/** Makes a set of the images of several files, one after the other. */
function dataset(
  files: readonly PixelFile[],
  labels: Int32Array,
  classes: readonly string[],
): Dataset {
  const size = labels.length
  const opened = new Map<string, Promise<FileHandle>>()
  const handle = (path: string) => {
    const found = opened.get(path) ?? open(path, 'r')
    opened.set(path, found)
    return found
  }
  return {
    ...{ name: 'stl10', size, image, classes, labels, skipped: [] },
    async read(indices, out) {
      checkRead({ name: 'stl10', size }, RECORD, indices, out)
      const record = new Uint8Array(RECORD)
      for (let n = 0; n < indices.length; n++) {
        const { path, at } = placeOf(files, Number(indices[n]))
        const { bytesRead } = await (await handle(path)).read(record, 0, RECORD, at * RECORD)
        if (bytesRead < RECORD)
          throw new DataError(
            `stl10: ${path}: record ${at} ends after ${counted(bytesRead, 'byte')}; it was cut while open`,
          )
        interleave(record, out.subarray(n * RECORD, (n + 1) * RECORD))
      }
    },
    async close() {
      const handles = [...opened.values()]
      opened.clear()
      await Promise.all(handles.map(async (file) => (await file).close()))
    },
  }
}

/** Finds the file of an image, and its record there. */
function placeOf(files: readonly PixelFile[], index: number): { path: string; at: number } {
  let at = index
  for (const { path, count } of files) {
    if (at < count) return { path, at }
    at -= count
  }
  throw new DataError(`stl10: there is no image ${index}`)
}

/** Transposes planes [3, x, y] to pixels [y, x, 3]. */
function interleave(planes: Uint8Array, out: Uint8Array) {
  for (let y = 0; y < SIDE; y++)
    for (let x = 0; x < SIDE; x++)
      for (let c = 0; c < 3; c++)
        out[3 * (y * SIDE + x) + c] = planes[c * PLANE + x * SIDE + y] ?? 0
}

/** Reads the ten names of class_names.txt; numbers where the file is missing or has another
 *  count. */
async function classNames(folder: string): Promise<string[]> {
  const lines = await readLines('stl10', join(folder, 'class_names.txt'))
  if (lines.length === CLASSES) return lines
  return Array.from({ length: CLASSES }, (_, label) => `${label + 1}`)
}
