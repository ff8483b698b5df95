// Pictures of a page as a data set in memory, to train on.

import {
  type Rules,
  callback,
  checkOptions,
  checkValue,
  onGpu,
  rule,
  text,
} from '../kernels/options.ts'
import { DataError, type Dataset } from '../data/dataset.ts'
import { memoryDataset } from '../data/memory-dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Collected } from './collected.ts'
import { checkImageRoom } from './image-room.ts'
import { nameOfClass, type PageImage } from './page-image.ts'
import { type ReadImagesOptions, noneOf, readRules, readEach } from './read-images.ts'
import { Resizer } from './resizer.ts'

/** Options of `imageDataset`. */
export interface ImageDatasetOptions extends ReadImagesOptions {
  /** Name of the set, for messages; 'pictures' by default. */
  readonly name?: string
  /** Tells the class of a picture, such as the name of its folder; null for one without. Without
   *  it the set has no labels. */
  readonly classOf?: (picture: PageImage, index: number) => string | null
}

const rules: Rules<ImageDatasetOptions> = { ...readRules, name: text, classOf: callback }

const iterable = rule(
  'pictures in an array, an iterator or an async iterator',
  (v) => typeof v === 'object' && v !== null && (Symbol.iterator in v || Symbol.asyncIterator in v),
)

/** Reads pictures of a page into a data set in memory, for `batches`, `residentImages` and `train`:
 *  3 size^2 bytes for each. Takes any number of pictures, also from an iterator that makes them one
 *  by one: at most three are decoded at a time. The set's `skipped` lists those left out, `files`
 *  the names of the others. Throws like `readImages`. */
export async function imageDataset(
  gpu: Gpu,
  pictures: Iterable<PageImage> | AsyncIterable<PageImage>,
  options: ImageDatasetOptions,
): Promise<Dataset> {
  checkValue('imageDataset', 'gpu', gpu, onGpu)
  checkValue('imageDataset', 'pictures', pictures, iterable)
  const checked = checkOptions('imageDataset', options, rules)
  const { size, fit = 'cover', name = 'pictures', classOf } = checked
  checkImageRoom('imageDataset', gpu, 1, size)
  const resizer = new Resizer(gpu, size, fit)
  const collected = new Collected(gpu, size)
  const files: string[] = []
  const named: (string | null)[] = []
  try {
    const skipped = await readEach('imageDataset', pictures, checked, async (opening) => {
      await collected.add((set, at) => resizer.resize(opening.name, opening.picture, set, at))
      files.push(opening.name)
      if (classOf) named.push(nameOfClass(classOf(opening.given, opening.index)))
    })
    if (skipped.length > 0 && files.length === 0) throw noneOf(skipped)
    if (files.length === 0) throw new DataError(`${name}: there are no pictures`)
    const image = { height: size, width: size, channels: 3 }
    const pixels = await collected.pixels()
    const set = memoryDataset({ name, image, ...labelsOf(classOf ? named : null), files, pixels })
    return { ...set, skipped }
  } finally {
    collected.free()
    resizer.free()
  }
}

/** The classes in order of their names, and the number of each image's; -1 for one without. */
function labelsOf(named: readonly (string | null)[] | null) {
  if (!named) return { classes: [], labels: null }
  const classes = [...new Set(named.filter((one) => one !== null))].sort()
  const numbers = new Map(classes.map((one, i) => [one, i]))
  const labels = Int32Array.from(named, (one) => (one === null ? -1 : (numbers.get(one) ?? -1)))
  return { classes, labels }
}
