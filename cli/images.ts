// The images that a configuration names, loaded with progress and complaints in words.

import type { Split } from '../data/dataset.ts'
import { kindOfSource } from '../data/kinds.ts'
import { openData } from '../data/open.ts'
import { recipeOf } from '../methods/views.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import { tellData } from './data-summary.ts'
import type { Progress } from '../training/progress.ts'

const SMALL = 32 // up to this size the test transform uses the whole image; above it cuts an eighth off (see testTransform)
const WHOLE = 2 // the longer side of the images that crops are taken from, in sides of the views

/** What says which images are opened; `views` where they are to be trained on. */
type Wanted = Pick<TrainConfig, 'data' | 'size' | 'seed'> & Partial<Pick<TrainConfig, 'views'>>

/** Training and test images of a run. What was read is told. Throws DataError. */
export async function openRunImages(
  { data, size, seed, views }: Wanted,
  progress: Progress,
): Promise<Split> {
  const side = size > SMALL && kindOfSource(data)?.resized ? Math.round((size * 8) / 7) : size
  const split = await openData(data, {
    size: side,
    originals: WHOLE * size,
    seed,
    onProgress: decoding(progress),
    onNotice: (notice) => progress.note(notice),
  })
  tellData(split, progress)
  const crops = views && [recipeOf(views, 0), recipeOf(views, 1)].every(({ crop }) => crop)
  if (crops) return split
  const { originals: _whole, ...train } = split.train // views that do not crop are made of the middle squares
  return { ...split, train }
}

/** Lets go of both halves. */
export const closeImages = ({ train, test }: Split) =>
  Promise.all([train.close?.(), test.close?.()])

/** Tells how far decoding is, every few seconds. */
function decoding(progress: Progress) {
  let told = performance.now()
  return ({ done, total }: { readonly done: number; readonly total: number }) => {
    if (performance.now() - told < 3000) return
    told = performance.now()
    progress.note(`decoding images: ${done} of ${total}`)
  }
}
