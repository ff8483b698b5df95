// The interface that every way to compute tiles of similarities implements. tiles.ts chooses one.

import type { Kernel, Wgsl } from '../op.ts'

/** The WGSL of one way to compute tiles, for `pairTiles`. */
export interface Tiles {
  /** Opens the source. Declares the sizes of a tile and how threads divide it:
   *  ROWS, COLUMNS  size of a tile
   *  THREADS        threads of a workgroup
   *  GROUPS         groups of four rows; a thread's own is `groupOf(thread)`
   *  SLICES         threads per group; each takes every SLICES-th column from `sliceOf(thread)` on
   *  TOGETHER       columns that are reduced over rows at once: each thread reduces the groups
   *                 `groupsOf(thread)`, then `overRowsMax` and `overRowsSum` combine threads
   *  `fence()`      call it before a thread reads what others wrote */
  readonly head: Wgsl
  /** ROWS. */
  readonly rows: number
  /** Where lanes of a subgroup load columns for each other: declares Columns, as
   *  `TileLayout.columns` does, which lie in fours or one by one, and how lanes load them. Null
   *  where a thread loads its own. */
  readonly ownColumns: ((inFours: boolean) => Wgsl) | null
  /** Parameters of the entry point. */
  readonly entry: Wgsl
  /** Opens the body of the entry point. Declares `thread`, the thread's number, and `subgroup`,
   *  the number of its subgroup or its number within that. Pass `subgroup` on to `score` and
   *  `addWeightedSum` as their last argument. */
  readonly prologue: Wgsl
  /** Declares `score(row, column, subgroup)`, which fills the tile that begins there, and
   *  `tileAt(c, group)` and `setTile(c, group, v)`, which read and write it. */
  readonly score: Wgsl
  /** Declares `addWeightedSum(row, column, begin, fresh, rescale, subgroup)`:
   *    partial[begin + d rows + i] = rescale_i partial[begin + d rows + i] + Σ_c tile_ci values_cd
   *  The first term is 0 where `fresh`. The tile may be overwritten afterwards. */
  readonly weightedSum: Wgsl
  /** The finished kernel. */
  finish(of: Kernel): Kernel
}

/** Where a tile's inputs lie in `rows` and `columns`, and where its weighted sums go in
 *  `partial`. */
export interface TileLayout {
  /** Declares Rows, of which `rows` is an array: f32, or vec4f where four rows lie in a row;
   *  `rowsAt(k, row)`, feature k of four rows; `columnsFrom`, the element where columns begin; and
   *  BY_ROW: true where neighbours are features of one row. */
  readonly rows: Wgsl
  /** Declares Columns, as Rows, and `columnsAt(k, column)`, feature k of four columns. */
  readonly columns: Wgsl
  /** Whether neighbouring columns lie in fours, at every feature. */
  readonly inFours: boolean
  /** Declares Partial, as Rows; `stored(begin, d, row)` and `store(begin, d, row, sums)`, which
   *  read and write sums of four rows; and `unstored`, the factor that undoes the scaling of
   *  `store`. */
  readonly partial: Wgsl
}
