// Tiles of similarities, the inner part of every fused contrastive loss. A workgroup computes the
// products of some rows with some columns in its own memory. The loss turns them into statistics or
// weights, and may add up vectors of the columns with those weights. So the matrix of similarities
// exists one tile at a time, as in FlashAttention (Dao et al. 2022,
// https://arxiv.org/abs/2205.14135), and nothing of its size is stored.
//
// A kernel that uses `score` binds `rows` and `columns`. One that uses `addWeightedSum` also binds
// `values` and `partial`. Their Params have
//   rows, D    size of `rows` [D, rows]: feature by feature, padded to whole tiles; or `byRow`
//   columns    their number; an index beyond it reads the last column, and must get weight 0
//   along, sum distance in `columns` from a column to the next, and from a feature to the next
//   scale      factor of the products, 1 / T
// A thread works on vectors of four rows: `tileAt(c, group)` holds column c of the rows
// [4 group, 4 group + 4).

import { type Kernel, type Run, wgsl } from '../op.ts'
import { onMatrices, useMatrices } from '../wgsl/subgroup-matrix.ts'
import type { TileLayout, Tiles } from './tile-types.ts'
import { registerTiles, registerTilesF16 } from './tiles-registers.ts'
import { softwareTiles } from './tiles-software.ts'
import { subgroupTilesF16, subgroupTilesF16x3 } from './tiles-subgroup.ts'

/** Rows are padded to a multiple of this, whole tiles on every machine. Columns are split by it. */
export const TILE = 64

const byFeature: TileLayout = {
  rows: wgsl`
    const BY_ROW = false;
    const columnsFrom = 0u;
    fn rowAt(k: u32, row: u32) -> u32 { return k * p.rows + row; }
  `,
  partial: wgsl`
    const unstored = 1.0;
    fn partialAt(begin: u32, d: u32, row: u32) -> u32 { return begin + d * p.rows + row; }
    fn store(begin: u32, d: u32, row: u32, sum: f32) { partial[partialAt(begin, d, row)] = sum; }
  `,
}

/** For `pairTiles`: rows [rows, D] and partial [splits, rows, D] as matrices usually lie, without
 *  padding. The kernel may set `rowsFrom` and `columnsFrom`, the elements where its rows and its
 *  columns begin, in the columns' values too. `store` divides sums by `unstored`. The kernel may set that to a power of two, so that
 *  nothing is lost when the sums are read again. */
export const byRow: TileLayout = {
  rows: wgsl`
    const BY_ROW = true;
    var<private> rowsFrom: u32 = 0u;
    var<private> columnsFrom: u32 = 0u;
    fn rowAt(k: u32, row: u32) -> u32 { return rowsFrom + min(row, p.rows - 1u) * p.D + k; }
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

const withLayout = (by: Tiles, { rows, partial }: TileLayout): Tiles => ({
  ...by,
  score: wgsl`
    ${rows}
    fn rowsAt(k: u32, row: u32) -> vec4f {
      return vec4f(
        rows[rowAt(k, row)], rows[rowAt(k, row + 1u)],
        rows[rowAt(k, row + 2u)], rows[rowAt(k, row + 3u)],
      );
    }
    ${by.score}
  `,
  weightedSum: wgsl`
    ${partial}
    fn stored(begin: u32, d: u32, row: u32) -> vec4f {
      return vec4f(
        partial[partialAt(begin, d, row)], partial[partialAt(begin, d, row + 1u)],
        partial[partialAt(begin, d, row + 2u)], partial[partialAt(begin, d, row + 3u)],
      ) * unstored;
    }
    ${by.weightedSum}
  `,
})

/** Builds a kernel around each way to compute tiles, and returns the choice for a machine. */
export function pairTiles(
  build: (by: Tiles) => Kernel,
  layout: TileLayout = byFeature,
): (run: Run) => Kernel {
  const make = (by: Tiles) => build(withLayout(by, layout))
  const [inRegisters, inRegistersF16] = [make(registerTiles), make(registerTilesF16)]
  const inSoftware = make(softwareTiles)
  const onSubgroupsF16 = onMatrices((by) => make(subgroupTilesF16(by)))
  const onSubgroupsF16x3 = onMatrices((by) => make(subgroupTilesF16x3(by)))
  return (run) => {
    if (useMatrices(run))
      return run.precision === 'f16' ? onSubgroupsF16(run) : onSubgroupsF16x3(run)
    if (usesSoftwareTiles(run)) return inSoftware
    return run.precision === 'f16' && !run.software ? inRegistersF16 : inRegisters
  }
}

/** Rows of a tile. */
export const tileRows = (run: Run): number => (usesSoftwareTiles(run) ? 32 : TILE)

const usesSoftwareTiles = (run: Run) => run.software && run.subgroupSize >= 8

/** Rounds a count up to whole tiles. */
export const padded = (count: number): number => Math.ceil(count / TILE) * TILE

/** WGSL of `fourRows(first)`: the rows first, first + 1, first + 2, first + 3. */
export const fourRows = wgsl`
  fn fourRows(first: u32) -> vec4u { return vec4u(first) + vec4u(0u, 1u, 2u, 3u); }
`
