// Image files that a command names. Those that cannot be read are left out and told.

import { resolve } from 'node:path'
import { DataError, type Dataset, checkRead } from '../../data/dataset.ts'
import { lookAt } from '../../data/paths.ts'
import { select } from '../../data/select.ts'
import { counted } from '../../data/words.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { type Embeddings, rowsAt } from '../../evaluate/embed.ts'
import { decodedSquare } from '../../run-folder/image-source.ts'
import type { OpenedEncoder } from '../../run-folder/saved-encoder.ts'
import { UsageError } from '../../training/choice.ts'
import type { Progress } from '../../training/progress.ts'
import { type FeatureOptions, featuresSeen } from './features.ts'
import type { Pictures } from './pictures.ts'

const MOST_BYTES = 2 ** 26
const MOST_PIXELS = 1e8
const TOLD = 10 // files left out whose reasons are printed

/** Makes a set of single image files, decoded to the encoder's squares as they are read. A file
 *  that is no image is read as black, and its reason kept in `broken`. Throws UsageError for a
 *  folder. */
export async function openFiles(files: readonly string[], side: number): Promise<Pictures> {
  for (const file of files) {
    const { status } = await lookAt(file)
    if (status?.isDirectory())
      throw new UsageError(`${file}: must be an image, is a folder; give --data folder:${file}`)
  }
  const image = { height: side, width: side, channels: 3 }
  const stride = side * side * 3
  const broken = new Map<number, DataError>()
  const set: Dataset = {
    ...{ name: 'files', size: files.length, image, classes: [], labels: null, skipped: [] },
    async read(indices, out) {
      checkRead({ name: 'files', size: files.length }, stride, indices, out)
      for (let n = 0; n < indices.length; n++) {
        const at = Number(indices[n])
        const pixels = await decoded(files[at] ?? '', side)
        if (pixels instanceof DataError) broken.set(at, pixels)
        out.set(pixels instanceof DataError ? new Uint8Array(stride) : pixels, n * stride)
      }
    },
  }
  const paths = files.map((file) => resolve(file))
  const close = async () => undefined
  return { set, names: files, paths, halves: null, skippedFiles: 0, broken, close }
}

/** Throws DataError if none of the files can be read, before a whole data set is. It reads up to
 *  the first that can. */
export async function checkSome(files: readonly string[], side: number) {
  let first: DataError | null = null
  for (const file of files) {
    const pixels = await decoded(file, side)
    if (!(pixels instanceof DataError)) return
    first ??= pixels
  }
  if (first) throw noneOf(files, first.message)
}

/** The error of files of which none is an image. `first` is why the first is none. */
const noneOf = ({ length }: readonly string[], first: string) =>
  new DataError(length === 1 ? first : `none of ${length} files is an image; the first: ${first}`)

/** Decodes a file to u8 [side, side, 3]. Resolves to a DataError that begins with the file where it
 *  cannot be read. */
async function decoded(file: string, side: number): Promise<Uint8Array | DataError> {
  const limits = { side, maxBytes: MOST_BYTES, maxPixels: MOST_PIXELS }
  try {
    return (await decodedSquare(file, limits)).pixels as Uint8Array
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    return new DataError(error.message.replace(/^embedder: /, ''), { cause: error })
  }
}

/** Computes the features of images as `featuresSeen` does, and returns them with their images:
 *  those that could be read. Notes the others. Throws DataError where none could. */
export async function picturesSeen(
  gpu: Gpu,
  saved: OpenedEncoder,
  pictures: Pictures,
  progress: Progress,
  options: FeatureOptions,
): Promise<{ readonly pictures: Pictures; readonly rows: Embeddings }> {
  const rows = await featuresSeen(gpu, saved, pictures.set, progress, options)
  const reasons = [...(pictures.broken?.values() ?? [])].map(({ message }) => message)
  const [first] = reasons
  if (first === undefined) return { pictures, rows }
  const { set, names, paths, skippedFiles } = pictures
  const kept = names.flatMap((_, i) => (pictures.broken?.has(i) ? [] : [i]))
  if (kept.length === 0) throw noneOf(names, first)
  const more = reasons.length > TOLD ? [`and ${reasons.length - TOLD} more`] : []
  const told = [...reasons.slice(0, TOLD), ...more].map((line) => `\n  ${line}`).join('')
  progress.note(`${counted(reasons.length, 'file')} left out:${told}`)
  const left = {
    ...pictures,
    set: select(set, kept),
    names: kept.map((i) => names[i] ?? ''),
    paths: paths && kept.map((i) => paths[i] ?? ''),
    skippedFiles: skippedFiles + reasons.length,
  }
  return { pictures: left, rows: rowsAt(rows, kept) }
}
