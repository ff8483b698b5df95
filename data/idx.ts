// Reads the MNIST family (MNIST, Fashion-MNIST, KMNIST, EMNIST) from IDX files, plain or gzipped
// (http://yann.lecun.com/exdb/mnist): a magic number and the sizes as big-endian u32, then bytes.
// Grey is replicated to three channels.
//
// The train-* and t10k-* files are the halves. If there is only one, its first 5/6 are the training
// set and the rest is the test set: 50,000 and 10,000 of 60,000 images.

import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { DataError, type Dataset, type Split } from './dataset.ts'
import { memoryDataset } from './memory-dataset.ts'
import { readDataFile, readLines, namesIn } from './paths.ts'
import { counted } from './words.ts'

const unzip = promisify(gunzip)
const IMAGES = 0x803 // u8, three dimensions
const LABELS = 0x801 // u8, one dimension

interface Part {
  readonly pixels: Uint8Array
  readonly labels: Uint8Array
  readonly height: number
  readonly width: number
}

/** Opens both halves in a folder of idx files. Class names come from its classes.txt, one a line;
 *  without it they are numbers. Throws DataError that names the file. */
export async function openIdx(path: string): Promise<Split> {
  const files = (
    await namesIn('idx', path, 'the folder of the idx files', '; pass the folder')
  ).sort()
  const train = await readPart(path, files, 'train')
  const test = await readPart(path, files, '(?:t10k|test)')
  const only = train ?? test
  if (!only)
    throw new DataError(
      `idx: ${path} must hold train-images-idx3-ubyte and train-labels-idx1-ubyte, or the t10k- ones, ` +
        `plain or .gz; found neither`,
    )
  const parts = train && test ? ([train, test] as const) : halves(only)
  const [a, b] = parts
  if (a.height !== b.height || a.width !== b.width)
    throw new DataError(
      `idx: ${path}: training and test images must have one size, got ${a.height} x ${a.width} and ` +
        `${b.height} x ${b.width}`,
    )
  const classes = await classNames(path, [a.labels, b.labels])
  const split =
    train && test
      ? 'its files'
      : `the ${train ? 'training' : 'test'} files alone: the first 5/6 train`
  const about = { path: resolve(path), split, notes: [], others: [] }
  return { train: dataset(a, classes), test: dataset(b, classes), about }
}

/** Reads the images and labels named `which`, after any prefix such as emnist-letters-. Null where
 *  there are none. */
async function readPart(
  folder: string,
  files: readonly string[],
  which: string,
): Promise<Part | null> {
  // `files` is sorted: the plain file comes before the .gz and is taken
  const images = files.find((file) =>
    new RegExp(`^[^.]*${which}-images[-.]idx3-ubyte(\\.gz)?$`).test(file),
  )
  if (!images) return null
  const stem = images.replace(/-images[-.]idx3-ubyte(\.gz)?$/, '')
  const labels = files.find(
    (file) => /-labels[-.]idx1-ubyte(\.gz)?$/.test(file) && file.startsWith(`${stem}-labels`),
  )
  if (!labels)
    throw new DataError(`idx: ${join(folder, images)} needs ${stem}-labels-idx1-ubyte beside it`)
  const pixels = await read(join(folder, images), IMAGES)
  const marks = await read(join(folder, labels), LABELS)
  const [count = 0, height = 0, width = 0] = pixels.sizes
  if (count !== marks.sizes[0])
    throw new DataError(
      `idx: images and labels must be as many, got ${count} in ${join(folder, images)} and ` +
        `${marks.sizes[0]} in ${join(folder, labels)}; they are not of one set`,
    )
  return { pixels: pixels.bytes, labels: marks.bytes, height, width }
}

/** Reads an idx file: its sizes, and the bytes after the header. */
async function read(file: string, magic: number): Promise<{ sizes: number[]; bytes: Uint8Array }> {
  const whole = await readWhole(file)
  const dimensions = magic & 0xff
  const header = 4 + 4 * dimensions
  const found = whole.length >= 4 ? whole.readUInt32BE(0) : -1
  if (found !== magic)
    throw new DataError(
      `idx: ${file} must start with the number ${magic} (u8, ${dimensions} dimensions), got ` +
        (found < 0 ? counted(whole.length, 'byte') : `${found}; it is another kind of file`),
    )
  if (whole.length < header)
    throw new DataError(
      `idx: ${file} must have ${header} bytes of header, got ${whole.length}; get it again`,
    )
  const sizes = Array.from({ length: dimensions }, (_, i) => whole.readUInt32BE(4 + 4 * i))
  const wanted = sizes.reduce((a, b) => a * b, 1)
  if (wanted === 0)
    throw new DataError(
      `idx: ${file} must hold at least one item, its header says ${sizes.join(' x ')}`,
    )
  const bytes = whole.subarray(header)
  const each = wanted / (sizes[0] ?? 1)
  if (bytes.length !== wanted)
    throw new DataError(
      `idx: ${file}: ${sizes.join(' x ')} items need ${counted(wanted, 'byte')} after the header, ` +
        `got ${bytes.length}` +
        (bytes.length < wanted
          ? `: item ${Math.floor(bytes.length / each)} (counted from 0) is cut short; get the file again`
          : `; the file is damaged, so get it again`),
    )
  return { sizes, bytes }
}

async function readWhole(file: string): Promise<Buffer> {
  const bytes = await readDataFile('idx', file)
  if (!file.endsWith('.gz')) return bytes
  return unzip(bytes).catch((cause: unknown) => {
    throw new DataError(
      `idx: ${file} must be a whole gzip file; it is cut short or damaged, so get it again`,
      { cause },
    )
  })
}

/** Splits off the first 5/6. */
function halves({ pixels, labels, height, width }: Part): [Part, Part] {
  const at = Math.floor((labels.length * 5) / 6)
  const cut = at * height * width
  return [
    { pixels: pixels.subarray(0, cut), labels: labels.subarray(0, at), height, width },
    { pixels: pixels.subarray(cut), labels: labels.subarray(at), height, width },
  ]
}

function dataset({ pixels, labels, height, width }: Part, classes: readonly string[]): Dataset {
  const rgb = new Uint8Array(pixels.length * 3)
  pixels.forEach((grey, i) => rgb.fill(grey, 3 * i, 3 * i + 3))
  const image = { height, width, channels: 3 }
  return memoryDataset({
    name: 'idx',
    image,
    classes,
    labels: Int32Array.from(labels),
    pixels: rgb,
  })
}

async function classNames(folder: string, labels: readonly Uint8Array[]): Promise<string[]> {
  const most = Math.max(...labels.map((part) => part.reduce((a, b) => Math.max(a, b), 0)))
  const lines = await readLines('idx', join(folder, 'classes.txt'))
  if (lines.length > most) return lines
  return Array.from({ length: most + 1 }, (_, label) => `${label}`)
}
