// The images of a run, opened with progress in words.

import type { Split } from '../data/dataset.ts'
import { kindOfSource } from '../data/kinds.ts'
import { openData } from '../data/open.ts'
import { testSide } from '../kernels/augment/recipes.ts'
import { recipeOf } from '../methods/views.ts'
import { UsageError } from '../training/choice.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { sourceName } from './data-source.ts'
import { tellData } from './data-summary.ts'
import type { Progress } from '../training/progress.ts'
import { noted } from './see/noted.ts'

const WHOLE = 2 // longer side of the originals that crops are cut from, in sides of the views

/** Settings that choose the images. `views` are needed for training. */
type Source = Pick<TrainConfig, 'data' | 'size' | 'seed'> & Partial<Pick<TrainConfig, 'views'>>

/** Opens the training and test images of a run, and prints a summary of them. Throws UsageError for
 *  an unknown kind of data, and DataError if the images cannot be used. */
export async function openRunImages(
  { data, size, seed, views }: Source,
  progress: Progress,
): Promise<Split> {
  const side = kindOfSource(data)?.resized ? testSide(size) : size
  const split = await openData(data, {
    size: side,
    originals: WHOLE * size,
    seed,
    onProgress: noted(progress, ({ done, total }) => `decoding images: ${done} of ${total}`),
    onNotice: (notice) => progress.note(notice),
  }).catch((error: unknown) => {
    if (kindOfSource(data) || !(error instanceof Error)) throw error
    const words = error.message.replace(/^data:/, '--data:') // it names no kind
    throw new UsageError(words, { cause: error })
  })
  tellData(split, progress, sourceName(data, split.train))
  if (takesWhole(views)) return split
  const { originals: _whole, ...train } = split.train // uncropped views show the middle square
  return { ...split, train }
}

/** Whether views are cut from whole images. */
const takesWhole = (views: Source['views']) =>
  views !== undefined && [recipeOf(views, 0), recipeOf(views, 1)].every(({ crop }) => crop)

/** Opens images anew, without a word, if the settings choose others than those by which they were
 *  opened: a preset may depend on the GPU, which opens after them. */
export async function settledImages(
  split: Split,
  before: Source,
  settings: Source,
  progress: Progress,
): Promise<Split> {
  const choice = ({ data, size, seed, views }: Source) =>
    JSON.stringify([data, size, seed, takesWhole(views)])
  if (choice(before) === choice(settings)) return split
  await closeImages(split)
  return openRunImages(settings, { ...progress, note: () => {} })
}

/** Closes both halves. */
export const closeImages = ({ train, test }: Split) =>
  Promise.all([train.close?.(), test.close?.()])
