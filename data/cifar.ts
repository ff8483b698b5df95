// Reads CIFAR-10 and CIFAR-100 in the binary layout (https://www.cs.toronto.edu/~kriz/cifar.html).
// A record is 1 label byte (CIFAR-100: 2, coarse then fine) and 3 x 1024 bytes of red, green and
// blue, row by row.
//
// If the archive's own files are there, it reads only these: a subset kept beside them is not read
// twice. Otherwise the *.bin files named test* are the test set and all others the training set, in
// the order of their names. Both must exist: held-out training images are not CIFAR's test set.

import { join, resolve } from 'node:path'
import { DataError, type Dataset, type Split } from './dataset.ts'
import { memoryDataset } from './memory-dataset.ts'
import { readDataFile, readLines, namesIn, sizeOfFile } from './paths.ts'
import { counted } from './words.ts'

interface Layout {
  readonly name: 'cifar10' | 'cifar100'
  /** Folder that the official archive unpacks to. */
  readonly folder: string
  /** Bytes before the pixels; the last one is the label. */
  readonly labelBytes: number
  readonly classes: number
  /** File that lists the class names, one a line. */
  readonly names: string
  /** Usual name of the test file. */
  readonly test: string
  /** Usual name of a training file. */
  readonly train: string
  /** Names of the archive's training files. */
  readonly own: RegExp
}

const cifar10: Layout = {
  name: 'cifar10',
  folder: 'cifar-10-batches-bin',
  labelBytes: 1,
  classes: 10,
  names: 'batches.meta.txt',
  test: 'test_batch.bin',
  train: 'data_batch_1.bin',
  own: /^data_batch_\d+\.bin$/,
}

const cifar100: Layout = {
  name: 'cifar100',
  folder: 'cifar-100-binary',
  labelBytes: 2,
  classes: 100,
  names: 'fine_label_names.txt',
  test: 'test.bin',
  train: 'train.bin',
  own: /^train\.bin$/,
}

const image = { height: 32, width: 32, channels: 3 } as const
const PLANE = 1024
const PIXELS = 3 * PLANE

/** Opens CIFAR-10's two halves in a folder of *.bin files or its parent. Throws DataError that
 *  names the file and the record. */
export const openCifar10 = (path: string): Promise<Split> => open(path, cifar10)

/** Opens CIFAR-100's two halves, with fine labels, as openCifar10. */
export const openCifar100 = (path: string): Promise<Split> => open(path, cifar100)

async function open(path: string, layout: Layout): Promise<Split> {
  const { folder, files } = await find(path, layout)
  const isTest = (file: string) => file.startsWith('test')
  const train = preferred(
    files.filter((file) => !isTest(file)),
    (file) => layout.own.test(file),
  )
  const test = preferred(files.filter(isTest), (file) => file === layout.test)
  const { name } = layout
  if (test.length === 0)
    throw new DataError(
      `${name}: ${folder} must hold a test file, ${layout.test} or any .bin whose name starts with ` +
        `'test', got only ${train.join(', ')}`,
    )
  if (train.length === 0)
    throw new DataError(
      `${name}: ${folder} must hold a training file, such as ${layout.train}, got only ${test.join(', ')}`,
    )
  const classes = await classNames(folder, layout)
  return {
    train: await load(folder, train, classes, layout),
    test: await load(folder, test, classes, layout),
    about: {
      path: resolve(folder),
      split: `files ${test.join(', ')} and the rest`,
      notes: [],
      others: [],
    },
  }
}

/** Returns the files that `isOwn` accepts, or all when it accepts none. */
function preferred(files: string[], isOwn: (file: string) => boolean): string[] {
  const own = files.filter(isOwn)
  return own.length > 0 ? own : files
}

/** Finds the folder of the .bin files: `path`, or the archive's folder in it. */
async function find(path: string, layout: Layout): Promise<{ folder: string; files: string[] }> {
  const { name, folder } = layout
  const seen = await namesIn(name, path, 'the folder of the .bin files', '; pass the folder')
  if (!seen.some(isBinary) && seen.includes(folder)) return find(join(path, folder), layout)
  const files = seen.filter(isBinary).sort()
  if (files.length > 0) return { folder: path, files }
  const packed = seen.find((file) => /\.(xz|gz|zip)$/.test(file))
  const python = seen.find((file) => /^(data_batch_1|train|cifar-1.*-py.*)$/.test(file))
  throw new DataError(
    `${name}: ${path} must hold .bin files, found none` +
      (packed
        ? `; unpack ${packed} first`
        : python
          ? `; get the binary version, not the Python one`
          : ''),
  )
}

const isBinary = (file: string) => file.endsWith('.bin') && !file.startsWith('.')

async function load(
  folder: string,
  files: readonly string[],
  classes: string[],
  layout: Layout,
): Promise<Dataset> {
  const { name, labelBytes } = layout
  const record = labelBytes + PIXELS
  const sizes = await Promise.all(files.map((file) => sizeOfFile(name, join(folder, file))))
  files.forEach((file, i) => checkSize(join(folder, file), sizes[i] ?? 0, layout))
  const count = sizes.reduce((sum, size) => sum + size, 0) / record
  const pixels = new Uint8Array(count * PIXELS)
  const labels = new Int32Array(count)
  let at = 0
  for (const file of files) {
    const bytes = await readDataFile(name, join(folder, file))
    checkSize(join(folder, file), bytes.length, layout)
    for (let from = 0; from < bytes.length && at < count; from += record, at++) {
      const label = bytes[from + labelBytes - 1] ?? 0
      if (label >= layout.classes)
        throw new DataError(
          `${name}: ${join(folder, file)}: record ${from / record} must have a label from 0 to ` +
            `${layout.classes - 1}, got ${label}; this is not a ${name} file, or it is damaged`,
        )
      labels[at] = label
      interleave(
        bytes.subarray(from + labelBytes, from + record),
        pixels.subarray(at * PIXELS, (at + 1) * PIXELS),
      )
    }
  }
  return memoryDataset({ name, image, classes, labels, pixels })
}

function checkSize(file: string, size: number, { name, labelBytes }: Layout) {
  const record = labelBytes + PIXELS
  if (size > 0 && size % record === 0) return
  if (size === 0) throw new DataError(`${name}: ${file} is empty; get it again`)
  const other = labelBytes === 1 ? 'cifar100' : 'cifar10'
  throw new DataError(
    `${name}: ${file} must be whole records of ${record} bytes, got ${counted(size, 'byte')}: record ` +
      `${Math.floor(size / record)} (counted from 0) ends after ${counted(size % record, 'byte')}; ` +
      (size % (other === 'cifar100' ? PIXELS + 2 : PIXELS + 1) === 0
        ? `its size fits ${other}, so try ${other}:PATH`
        : 'the file is cut short, so get it again'),
  )
}

/** Transposes planes [3, 1024] to pixels [1024, 3]. */
function interleave(planes: Uint8Array, out: Uint8Array) {
  for (let i = 0; i < PLANE; i++)
    for (let c = 0; c < 3; c++) out[3 * i + c] = planes[c * PLANE + i] ?? 0
}

/** Reads the class names; numbers where the list is missing or of another length. */
async function classNames(folder: string, { name, names, classes }: Layout): Promise<string[]> {
  const lines = await readLines(name, join(folder, names))
  return lines.length === classes
    ? lines
    : Array.from({ length: classes }, (_, label) => `${label}`)
}
