// The pictures of a training, in memory: squares of one side, as bytes.

import { type Dataset, type Split, memoryDataset } from './library.ts'
import { rescaled } from './rescale.ts'

/** Pictures of one side, and how the page calls them. */
export interface PhotoSet {
  readonly kind: 'own' | 'built-in'
  /** Side in pixels. */
  readonly side: number
  readonly names: readonly string[]
  /** u8 [N, side, side, 3]. */
  readonly pixels: Uint8Array<ArrayBuffer>
  readonly classes: readonly string[]
  /** [N], indices of classes; null without classes. */
  readonly labels: Int32Array<ArrayBuffer> | null
  /** Pictures of the same classes that no training sees, and their labels. */
  readonly test: {
    readonly pixels: Uint8Array<ArrayBuffer>
    readonly labels: Int32Array<ArrayBuffer> | null
  }
}

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
