// What the ways to compute tiles of similarities have in common, for tiles.ts, which chooses one.

import type { Wgsl } from '../op.ts'

/** The WGSL of one way to compute tiles, for `tiled`. */
export interface Tiles {
  /** Opens the source: ROWS and COLUMNS of a tile, THREADS, and who does what with it:
   *  GROUPS      of four rows; a thread's own is `groupOf(thread)`
   *  SLICES      threads share a group, and take every SLICES-th column from `sliceOf(thread)` on
   *  TOGETHER    columns are summed over rows at once, each over the groups `groupsOf(thread)` and then by `overRowsMax` and
   *              `overRowsSum`
   *  `fence()`   before threads read what others wrote */
  readonly head: Wgsl
  /** Parameters of the entry point, which `enter` opens; then `thread` is the thread's number and `team` that of its subgroup,
   *  or its number therein: what `score` and `pull` take as their last argument, as it must be handed on. */
  readonly entry: Wgsl
  readonly enter: Wgsl
  /** `score(row, column, team)` fills the tile that begins there; `tileAt(c, group)` and `setTile(c, group, v)`. */
  readonly score: Wgsl
  /** `pull(row, column, begin, fresh, keep, team)`: partial[begin + d rows + i] = keep of it, 0 if fresh, + Σ_c tile_ci
   *  pulled_cd. The tile is gone then. */
  readonly pull: Wgsl
}

/** Where the numbers of rows lie, and where what is pulled goes. */
export interface Layout {
  /** `rowAt(k, row)` and BY_ROW, whether neighbours are features of one row. */
  readonly rows: Wgsl
  /** `partialAt(begin, d, row)`, `store(begin, d, row, sum)`, and `unstored`, what undoes store's factor. */
  readonly partial: Wgsl
}
