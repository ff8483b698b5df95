// Pictures of a page as one tensor, or as a data set.

import { type Abortable, abortable } from '../kernels/abort.ts'
import { type Tensor, dim } from '../kernels/op.ts'
import {
  type Rules,
  callback,
  checkOptions,
  checkValue,
  count,
  needed,
  onGpu,
  oneOf,
} from '../kernels/options.ts'
import type { Fit } from '../kernels/resample/fit.ts'
import { takeImages } from '../kernels/shape/take-images.ts'
import { DataError, type Skipped } from '../data/dataset.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Opening, openAhead } from './open-ahead.ts'
import { checkImageRoom } from './image-room.ts'
import type { PageImage } from './page-image.ts'
import { Resizer } from './resizer.ts'

/** Options of `readImages`. */
export interface ReadImagesOptions extends Abortable {
  /** Height and width of the images in pixels. */
  readonly size: number
  /** How a picture that is no square fills an image: 'cover', the default, cuts the middle out of
   *  it, 'contain' shows all of it on white, 'fill' stretches it. */
  readonly fit?: Fit
  /** What happens to a picture that cannot be read: 'skip', the default, leaves it out and lists
   *  it, 'throw' rejects. */
  readonly broken?: 'skip' | 'throw'
  /** Called after each picture with the numbers of pictures so far and of those left out. */
  readonly onProgress?: (done: number, skipped: number) => void
}

/** What `readImages` resolves to. */
export interface ReadImages {
  /** u8 [kept.length, size, size, 3]. It lives until `gpu.free`, or as long as you hold it. */
  readonly images: Tensor
  /** Position of each image's picture in the list that was given. */
  readonly kept: readonly number[]
  /** Pictures that were left out, by file or place, and why. */
  readonly skipped: readonly Skipped[]
}

/** The rules of these options. */
export const readRules: Rules<ReadImagesOptions> = {
  size: needed(count),
  fit: oneOf('cover', 'contain', 'fill'),
  broken: oneOf('skip', 'throw'),
  onProgress: callback,
  ...abortable,
}

/** Reads pictures of a page to u8 [N, size, size, 3] on the GPU: files upright as their EXIF says,
 *  and everything resized as by `resizeImages`, alpha on white, in sRGB. Decodes up to two ahead of
 *  the one that is resized, and closes what it decoded; what you give stays yours. Throws TypeError
 *  for what is no picture, RangeError for more images than a tensor of this device may hold,
 *  DataError where none can be read, or with `broken: 'throw'` any, and the signal's reason. */
export async function readImages(
  gpu: Gpu,
  pictures: readonly PageImage[],
  options: ReadImagesOptions,
): Promise<ReadImages> {
  checkValue('readImages', 'gpu', gpu, onGpu)
  checkValue('readImages', 'pictures', pictures, {
    words: 'an array of pictures, at least one',
    fits: (v) => Array.isArray(v) && v.length > 0,
  })
  const checked = checkOptions('readImages', options, readRules)
  const { size, fit = 'cover' } = checked
  checkImageRoom('readImages', gpu, pictures.length, size)
  const set = gpu.variable(new Uint8Array(pictures.length * size * size * 3), [
    ...[pictures.length, size, size, 3],
  ])
  const resizer = new Resizer(gpu, size, fit)
  const kept: number[] = []
  try {
    const skipped = await readEach('readImages', pictures, checked, async (opening) => {
      resizer.resize(opening.name, opening.picture, set, kept.length)
      kept.push(opening.index)
      await gpu.pace()
    })
    const first = skipped[0]
    if (kept.length === 0 && first) throw noneOf(skipped)
    const all = dim(set.shape, 0) === kept.length
    const images = all
      ? set
      : gpu.noGrad(() => takeImages(set, gpu.tensor(Int32Array.from(kept.keys()))))
    if (!all) gpu.free(set)
    return { images, kept, skipped }
  } catch (error) {
    gpu.free(set)
    throw error
  } finally {
    resizer.free()
  }
}

/** The error where no picture could be read. */
export const noneOf = (skipped: readonly Skipped[]): DataError =>
  new DataError(
    `none of the ${skipped.length} pictures could be read; the first, ${skipped[0]?.file}: ${skipped[0]?.reason}`,
  )

/** Opens pictures and calls `take` with each. Returns those that could not be read. */
export async function readEach(
  owner: string,
  pictures: Iterable<PageImage> | AsyncIterable<PageImage>,
  { broken = 'skip', onProgress, signal }: ReadImagesOptions,
  take: (opening: Opening) => Promise<void>,
): Promise<readonly Skipped[]> {
  const skipped: Skipped[] = []
  let done = 0
  for await (const opened of openAhead(owner, pictures, signal)) {
    try {
      signal?.throwIfAborted()
      if ('failure' in opened) throw opened.failure
      await take(opened)
    } catch (error) {
      if (broken === 'throw' || !(error instanceof DataError)) throw error
      const { name } = opened
      skipped.push({ file: name, reason: error.message.replace(`${name}: `, '') })
    } finally {
      if ('close' in opened) opened.close()
    }
    onProgress?.(++done, skipped.length)
  }
  return skipped
}
