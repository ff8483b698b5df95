// The pictures of a training, in memory: squares of one side, as bytes.

import type { Split } from 'kindred'

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
  /** What a training reads, where that is not made of these pictures: the images that a run came
   *  with. */
  readonly carried?: Split
}
