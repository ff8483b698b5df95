// How a convolution's window moves.

import type { Tensor } from '../op.ts'

/** Rows and columns: [h, w]. */
export type Pair = readonly [h: number, w: number]

export interface Steps {
  readonly stride: Pair
  readonly padding: Pair
}

/** A convolution's steps, and the bias that it adds. */
export interface Biased extends Steps {
  /** [K], one number per output channel. */
  readonly bias?: Tensor | null
}
