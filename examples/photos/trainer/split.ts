// The sets that a training reads, at the size that its views need.

import { type Dataset, type Split, memoryDataset } from 'kindred'
import type { PhotoSet } from './photo-set.ts'
import { rescaled } from './rescale.ts'

/** More pixels than a view has, so that a crop is no blur: half as many again. */
const MARGIN = 1.5

/** Makes the sets that a training with views of `side` pixels reads. */
export function splitOf(pictures: PhotoSet, side: number): Split {
  const to = Math.min(pictures.side, Math.round(side * MARGIN))
  const image = { height: to, width: to, channels: 3 }
  const set = (pixels: Uint8Array<ArrayBuffer>, labels: Int32Array<ArrayBuffer> | null): Dataset =>
    memoryDataset({
      name: 'the pictures',
      image,
      classes: pictures.classes,
      labels,
      pixels: to === pictures.side ? pixels : rescaled(pixels, { from: pictures.side, to }),
    })
  return {
    train: set(pictures.pixels, pictures.labels),
    test: set(pictures.test.pixels, pictures.test.labels),
  }
}
