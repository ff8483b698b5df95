// Tiles of similarities, the inner part of every fused contrastive loss. A workgroup computes the products of some rows with
// some columns into its own memory, where the loss turns them into statistics or weights, and may pull the rows towards
// the columns by those weights. So a matrix of similarities exists one tile at a time, as attention's does in
// FlashAttention (Dao et al. 2022, https://arxiv.org/abs/2205.14135), and nothing of its size is stored.
//
// A kernel that uses `score` binds `rows` and `columns`, to pull also `pulled` and `partial`, and has in its Params
//   rows, D    rows [D, rows]: feature by feature, padded to whole tiles; or `byRow`
//   columns    how many; a number beyond is read as the last, and must get weight 0
//   along, sum how far apart in `columns` two columns lie, and two features of one
//   scale      what products are multiplied with, 1 / T
// Each thread works on vectors of four rows: `tileAt(c, group)` holds column c's of the rows [4 group, 4 group + 4).

import { type Kernel, type Run, wgsl } from '../op.ts'
import { onMatrices, useMatrices } from '../wgsl/subgroup-matrix.ts'
import type { Layout, Tiles } from './tile-types.ts'
import { lanes } from './tiles-software.ts'
import { grid, halfGrid } from './tiles-registers.ts'
import { rounded, splitTiles } from './tiles-subgroup.ts'

/** Rows are padded to a multiple of this, a whole number of tiles on every machine, and columns are dealt out by it. */
export const TILE = 64

const byFeature: Layout = {
  rows: wgsl`
    const BY_ROW = false;
    fn rowAt(k: u32, row: u32) -> u32 { return k * p.rows + row; }
  `,
  partial: wgsl`
    const unstored = 1.0;
    fn partialAt(begin: u32, d: u32, row: u32) -> u32 { return begin + d * p.rows + row; }
    fn store(begin: u32, d: u32, row: u32, sum: f32) { partial[partialAt(begin, d, row)] = sum; }
  `,
}

/** For `tiled`: rows [rows, D] and partial [splits, rows, D] as matrices usually lie, with no padding. Sums are divided
 *  by `unstored` as they are stored, which the kernel may set to a power of two: nothing is then lost when they are taken up again. */
export const byRow: Layout = {
  rows: wgsl`
    const BY_ROW = true;
    fn rowAt(k: u32, row: u32) -> u32 { return min(row, p.rows - 1u) * p.D + k; }
  `,
  partial: wgsl`
    var<private> unstored: f32 = 1.0;
    fn partialAt(begin: u32, d: u32, row: u32) -> u32 {
      return begin + min(row, p.rows - 1u) * p.D + min(d, p.D - 1u);
    }
    fn store(begin: u32, d: u32, row: u32, sum: f32) {
      if (row < p.rows && d < p.D) { partial[partialAt(begin, d, row)] = sum / unstored; }
    }
  `,
}

const laid = (by: Tiles, { rows, partial }: Layout): Tiles => ({
  ...by,
  score: wgsl`
    ${rows}
    fn rowsAt(k: u32, row: u32) -> vec4f {
      return vec4f(rows[rowAt(k, row)], rows[rowAt(k, row + 1u)], rows[rowAt(k, row + 2u)], rows[rowAt(k, row + 3u)]);
    }
    ${by.score}
  `,
  pull: wgsl`
    ${partial}
    fn stored(begin: u32, d: u32, row: u32) -> vec4f {
      return vec4f(
        partial[partialAt(begin, d, row)], partial[partialAt(begin, d, row + 1u)],
        partial[partialAt(begin, d, row + 2u)], partial[partialAt(begin, d, row + 3u)],
      ) * unstored;
    }
    ${by.pull}
  `,
})

/** The kernel that `build` makes around the way to compute tiles that suits the machine. */
export function tiled(build: (by: Tiles) => Kernel, layout: Layout = byFeature): (run: Run) => Kernel {
  const make = (by: Tiles) => build(laid(by, layout))
  const [onGpu, onCpu, withHalves] = [make(grid), make(lanes), make(halfGrid)]
  const [inHalves, inParts] = [
    onMatrices((by) => make(rounded(by))),
    onMatrices((by) => make(splitTiles(by))),
  ]
  return (run) => {
    if (useMatrices(run)) return run.precision === 'f16' ? inHalves(run) : inParts(run)
    if (hasLanes(run)) return onCpu
    return run.precision === 'f16' && !run.software ? withHalves : onGpu
  }
}

/** Rows of a tile. */
export const tileRows = (run: Run): number => (hasLanes(run) ? 32 : TILE)

const hasLanes = (run: Run) => run.software && run.subgroupSize >= 8

/** A count rounded up to whole tiles. */
export const padded = (count: number): number => Math.ceil(count / TILE) * TILE

/** WGSL of `fourRows(first)`. */
export const fourRows = wgsl`
  fn fourRows(first: u32) -> vec4u { return vec4u(first) + vec4u(0u, 1u, 2u, 3u); }
`
