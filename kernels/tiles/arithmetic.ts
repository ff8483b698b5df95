// What a way to compute tiled products tells of itself: sums in registers (mma-registers.ts), or
// in subgroup matrices (mma-subgroup.ts).

import type { Kernel } from '../op.ts'
import { type Loader, loadWidth } from './loader.ts'
import type { Mma } from './mainloop.ts'

/** How the factors of a product are bound. */
export type Factors = Pick<Loader['memory'], 'a' | 'b'>

/** How a product is cut: rows and columns of a workgroup, and of what they consist. */
export interface Tile {
  readonly M: number
  readonly N: number
  readonly threads: number
  /** Workgroup memory that it takes. */
  readonly bytes: number
  /** Workgroups that a processor of a large GPU runs at a time, by the registers that NVIDIA's
   *  compilers give them (docs/kernels.md); and of factors that are read eight numbers at a time,
   *  if they take fewer registers. */
  readonly resident: number
  readonly lean?: number
  mma(loader: Loader): Mma
}

/** A way to compute tiled products. */
export interface Arithmetic {
  /** What it multiplies with, in the keys of measured tiles; '' for registers. */
  readonly name: string
  /** Largest first. */
  readonly tiles: readonly Tile[]
  /** k per slice. */
  readonly depth: number
  /** k whose products take a large GPU as long as to write and read one partial sum. */
  readonly partialWorth: number
  finish(of: Kernel): Kernel
}

/** Loads of a thread and slice. */
export const loadsOf = ({ M, N, threads }: Tile, depth: number, { a, b }: Factors): number =>
  (depth / threads) * (M / loadWidth(a) + N / loadWidth(b))
