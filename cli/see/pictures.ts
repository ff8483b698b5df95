// What kindred embed, search and curate work on: the encoder of a run, and images with their names.

import { realpath } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import {
  type DataError,
  type Dataset,
  type Split,
  checkRead,
  imageBytes,
} from '../../data/dataset.ts'
import { lookAt } from '../../data/paths.ts'
import { printableLines } from '../../kernels/printable.ts'
import { type OpenedEncoder, openEncoder } from '../../run-folder/saved-encoder.ts'
import { UsageError, choose } from '../../training/choice.ts'
import type { EncoderLayer } from '../../training/encoder.ts'
import type { Progress } from '../../training/progress.ts'
import { findSource } from '../data-source.ts'
import { skippedOf } from '../data-summary.ts'
import { stepOf } from '../eval-images.ts'
import type { GpuFlags } from '../gpu-options.ts'
import { closeImages, openRunImages } from '../images.ts'
import { startProgress } from '../progress.ts'

/** Options of all commands that look at images through an encoder. */
export interface PictureFlags extends GpuFlags {
  readonly data?: string
  readonly half?: string
  readonly checkpoint?: string
  readonly layer?: string
  readonly precision?: string
  readonly json?: boolean
  readonly force?: boolean
}

/** Images with their names. */
export interface Pictures {
  readonly set: Dataset
  /** [size], as lists name them: a path, or 'train/17' where images have no files. */
  readonly names: readonly string[]
  /** [size], the absolute paths of their files; null where they have none. */
  readonly paths: readonly string[] | null
  /** [size], the half of the data set that each is in; null for single files. */
  readonly halves: readonly ('train' | 'test')[] | null
  /** Files that were left out. */
  readonly skippedFiles: number
  /** Why named files could not be read, by their index. It is filled as they are read. */
  readonly broken?: ReadonlyMap<number, DataError>
  readonly close: () => Promise<unknown>
}

const layers: readonly EncoderLayer[] = ['features', 'embedding']
const halves = ['all', 'train', 'test'] as const

/** Makes the output of these commands. It goes to standard error, so that standard output holds the
 *  result alone. */
export const notes = (): Progress => startProgress({ json: false, stream: process.stderr })

/** Opens the encoder that a run folder or checkpoint holds. Throws Error in words. */
export async function openSeen(
  run: string,
  { checkpoint, layer }: PictureFlags,
): Promise<OpenedEncoder> {
  const chosen = choose('--layer', layer, layers)
  const saved = await openEncoder(run, {
    ...(checkpoint !== undefined && { checkpoint }),
    ...(chosen && { layer: chosen }),
  })
  for (const line of saved.damaged) console.error(`kindred: ${printableLines(line)}`)
  return saved
}

/** Returns what the result of a command says of its encoder. */
export const seenOf = (run: string, { checkpoint }: OpenedEncoder) => ({
  run,
  step: stepOf(checkpoint.metadata),
})

/** Opens the images of --data, by default the run's own. Throws UsageError for a checkpoint file,
 *  which does not say where its images are, and DataError for images that cannot be used. */
export async function openPictures(
  run: string,
  { config }: OpenedEncoder,
  { data, half }: PictureFlags,
  progress: Progress,
): Promise<Pictures> {
  const chosen = choose('--half', half, halves) ?? 'all'
  const { status } = await lookAt(run)
  if (data === undefined && !status?.isDirectory())
    throw new UsageError(
      `--data: must say where the images are, since ${run} is a checkpoint file and does not; ` +
        'give --data, or the run folder',
    )
  const source = data ?? findSource(config, run)
  const split = await openRunImages({ ...config, data: source }, progress)
  const pictures = picturesOf(split, chosen)
  if (pictures.set.size > 0) return pictures
  await pictures.close()
  throw new UsageError(`--half: ${source} has no ${chosen} images; leave it out for all images`)
}

/** Joins the chosen halves of a data set, the training images first, and names their images. */
export function picturesOf(split: Split, chosen: (typeof halves)[number]): Pictures {
  const { train, test, about } = split
  const used = (['train', 'test'] as const).filter((half) => chosen === 'all' || chosen === half)
  const sets = { train, test }
  const root = about?.path ?? null
  const files = used.flatMap((half) => sets[half].files ?? [])
  const size = used.reduce((sum, half) => sum + sets[half].size, 0)
  const paths =
    root !== null && files.length === size ? files.map((file) => join(root, file)) : null
  const numbered = used.flatMap((half) =>
    Array.from({ length: sets[half].size }, (_, i) => `${half}/${i}`),
  )
  return {
    set: joined(used.map((half) => sets[half])),
    names: paths?.map(nearPath) ?? (files.length === size && size > 0 ? files : numbered),
    paths,
    halves: used.flatMap((half) => Array.from({ length: sets[half].size }, () => half)),
    skippedFiles: skippedOf(split).length,
    close: () => closeImages(split),
  }
}

/** Returns a path as lists name it: relative to this folder if it is below, else absolute. */
export function nearPath(path: string): string {
  const near = relative(process.cwd(), resolve(path))
  return near === '' || near.startsWith('..') ? resolve(path) : near
}

/** Makes one set of several with images of one size, in order. */
function joined(sets: readonly Dataset[]): Dataset {
  const [first, ...others] = sets
  if (!first) throw new Error('no data set to join')
  if (others.length === 0) return first
  const size = sets.reduce((sum, set) => sum + set.size, 0)
  const { name, image, classes } = first
  const stride = imageBytes(first)
  const labels = sets.every((set) => set.labels || set.size === 0)
    ? Int32Array.from(sets.flatMap((set) => Array.from(set.labels ?? [])))
    : null
  return {
    ...{ name, size, image, classes, labels, skipped: [] },
    async read(indices, out) {
      checkRead({ name, size }, stride, indices, out)
      let start = 0
      for (const set of sets) {
        const [from, end] = [start, start + set.size]
        start = end
        const places = Array.from(indices).flatMap((i, n) => (i >= from && i < end ? [n] : []))
        if (places.length === 0) continue
        const own = new Uint8Array(places.length * stride)
        await set.read(
          places.map((n) => Number(indices[n]) - from),
          own,
        )
        for (const [j, n] of places.entries())
          out.set(own.subarray(j * stride, (j + 1) * stride), n * stride)
      }
    },
  }
}

/** Returns the class of an image, null without one. */
export const classOf = ({ set }: Pictures, i: number): string | null =>
  set.classes[set.labels?.[i] ?? -1] ?? null

/** Returns what JSON says of an image. */
export const told = (pictures: Pictures, i: number) => ({
  path: pictures.names[i] ?? '',
  class: classOf(pictures, i),
  half: pictures.halves?.[i] ?? null,
})

/** Resolves to the real path of a file, or to the path itself where there is none. */
export const realOf = (path: string): Promise<string> => realpath(path).catch(() => path)
