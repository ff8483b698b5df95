// The images that a configuration names, loaded with progress and complaints in words.

import type { Split } from '../data/dataset.ts'
import { openData } from '../data/open.ts'
import type { TrainConfig } from './config.ts'
import { tellData } from './data-summary.ts'
import type { Progress } from './progress.ts'

const SMALL = 32 // up to this size the test transform uses the whole image; above it cuts an eighth off (see testTransform)

/** Training and test images of a run. What was read is told. Throws DataError. */
export async function openImages(
  { data, size, seed }: Pick<TrainConfig, 'data' | 'size' | 'seed'>,
  progress: Progress,
): Promise<Split> {
  const side = size > SMALL && data.startsWith('folder') ? Math.round((size * 8) / 7) : size
  const split = await openData(data, {
    size: side,
    seed,
    onProgress: decoding(progress),
    onNotice: (notice) => progress.note(notice),
  })
  tellData(split, progress)
  return split
}

/** Lets go of both halves. */
export const closeImages = ({ train, test }: Split) => Promise.all([train.close?.(), test.close?.()])

/** Tells how far decoding is, every few seconds. */
function decoding(progress: Progress) {
  let told = performance.now()
  return ({ done, total }: { readonly done: number; readonly total: number }) => {
    if (performance.now() - told < 3000) return
    told = performance.now()
    progress.note(`decoding images: ${done} of ${total}`)
  }
}
