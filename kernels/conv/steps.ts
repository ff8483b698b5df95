// How a convolution's window moves.

/** Rows and columns: [h, w]. */
export type Pair = readonly [h: number, w: number]

export interface Steps {
  readonly stride: Pair
  readonly padding: Pair
}
