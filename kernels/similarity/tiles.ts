// Tiles of similarities, the inner part of every fused contrastive loss. A workgroup computes the
// products of some rows with some columns in its own memory. The loss turns them into statistics or
// weights, and may add up vectors of the columns with those weights. So the matrix of similarities
// exists one tile at a time, as in FlashAttention (Dao et al. 2022,
// https://arxiv.org/abs/2205.14135), and nothing of its size is stored.
//
// A kernel that uses `score` binds `rows`, an array of Rows, and `columns` of Columns. One that
// uses `addWeightedSum` also binds `values` of f32 and `partial` of Partial. Their Params have
//   rows, D    size of `rows` [D, rows]: feature by feature, padded to whole tiles; or `byRow`
//   columns    their number; an index beyond it reads the last column, and must get weight 0
//   along, sum distance in `columns` from a column to the next, and from a feature to the next
//   scale      factor of the products, 1 / T
// A thread works on vectors of four rows: `tileAt(c, group)` holds column c of the rows
// [4 group, 4 group + 4).

import { type Kernel, type Run, wgsl } from '../op.ts'
import { columnOf } from '../wgsl/column-of.ts'
import { onMatrices, useMatrices } from '../wgsl/subgroup-matrix.ts'
import type { TileLayout, Tiles } from './tile-types.ts'
import { registerTiles, registerTilesF16 } from './tiles-registers.ts'
import { softwareTiles } from './tiles-software.ts'
import { subgroupTilesF16, subgroupTilesF16x3 } from './tiles-subgroup.ts'

/** Rows are padded to a multiple of this, whole tiles on every machine. Columns are split by it. */
export const TILE = 64

const rowsByFeature = wgsl`
  alias Rows = vec4f;
  const BY_ROW = false;
  const columnsFrom = 0u;
  fn rowsAt(k: u32, row: u32) -> vec4f { return rows[(k * p.rows + row) / 4u]; }
`
const partialByFeature = wgsl`
  alias Partial = vec4f;
  const unstored = 1.0;
  fn stored(begin: u32, d: u32, row: u32) -> vec4f { return partial[(begin + d * p.rows + row) / 4u]; }
  fn store(begin: u32, d: u32, row: u32, sums: vec4f) {
    partial[(begin + d * p.rows + row) / 4u] = sums;
  }
`

// Columns one by one, by strides.
const columnsOneByOne: Pick<TileLayout, 'columns' | 'ownColumns'> = {
  columns: wgsl`
    alias Columns = f32;
    fn columnsAt(k: u32, column: u32) -> vec4f {
      let at = columnsFrom + k * p.sum;
      let last = p.columns - 1u;
      return vec4f(
        columns[at + min(column, last) * p.along],
        columns[at + min(column + 1u, last) * p.along],
        columns[at + min(column + 2u, last) * p.along],
        columns[at + min(column + 3u, last) * p.along],
      );
    }
  `,
  ownColumns: wgsl`
    alias Columns = f32;
    fn ownColumn(k: u32, column: u32) -> vec4f {
      let at = columnsFrom + min(column, p.columns - 1u) * p.along;
      let features = vec4u(k) + vec4u(0u, 1u, 2u, 3u);
      let e = min(features, vec4u(p.D - 1u)) * p.sum + vec4u(at);
      let own = vec4f(columns[e.x], columns[e.y], columns[e.z], columns[e.w]);
      return select(vec4f(), own, features < vec4u(p.D));
    }
    fn ownColumns(k: u32, column: u32, lane: u32) -> mat2x4f {
      return mat2x4f(ownColumn(k, column + lane % 8u), ownColumn(k, column + 8u + lane % 8u));
    }
    ${columnOf.along}
  `,
}

/** Rows [D, rows] and columns [D, columns], both padded to whole tiles; partial [splits, D,
 *  rows]. */
export const byFeature: TileLayout = {
  rows: rowsByFeature,
  columns: wgsl`
    alias Columns = vec4f;
    fn columnsAt(k: u32, column: u32) -> vec4f { return columns[(k * p.sum + column) / 4u]; }
  `,
  ownColumns: wgsl`
    alias Columns = vec4f;
    fn ownFour(k: u32, column: u32) -> vec4f {
      return select(vec4f(), columns[(min(k, p.D - 1u) * p.sum + column) / 4u], k < p.D);
    }
    fn ownColumns(k: u32, column: u32, lane: u32) -> mat2x4f {
      let feature = k + lane % 8u / 4u;
      let first = column + lane % 4u * 4u;
      return mat2x4f(ownFour(feature, first), ownFour(feature + 2u, first));
    }
    ${columnOf.across}
  `,
  partial: partialByFeature,
}

/** The same with columns by strides. */
export const toColumns: TileLayout = {
  rows: rowsByFeature,
  ...columnsOneByOne,
  partial: partialByFeature,
}

/** For `pairTiles`: rows [rows, D] and partial [splits, rows, D] as matrices usually lie, without
 *  padding. The kernel may set `rowsFrom` and `columnsFrom`, the elements where its rows and its
 *  columns begin, in the columns' values too. `store` divides sums by `unstored`. The kernel may
 *  set that to a power of two, so that nothing is lost when the sums are read again. */
export const byRow: TileLayout = {
  rows: wgsl`
    alias Rows = f32;
    const BY_ROW = true;
    var<private> rowsFrom: u32 = 0u;
    var<private> columnsFrom: u32 = 0u;
    fn rowAt(k: u32, row: u32) -> u32 { return rowsFrom + min(row, p.rows - 1u) * p.D + k; }
    fn rowsAt(k: u32, row: u32) -> vec4f {
      return vec4f(
        rows[rowAt(k, row)], rows[rowAt(k, row + 1u)],
        rows[rowAt(k, row + 2u)], rows[rowAt(k, row + 3u)],
      );
    }
  `,
  ...columnsOneByOne,
  partial: wgsl`
    alias Partial = f32;
    var<private> unstored: f32 = 1.0;
    fn partialAt(begin: u32, d: u32, row: u32) -> u32 {
      return begin + min(row, p.rows - 1u) * p.D + min(d, p.D - 1u);
    }
    fn stored(begin: u32, d: u32, row: u32) -> vec4f {
      return vec4f(
        partial[partialAt(begin, d, row)], partial[partialAt(begin, d, row + 1u)],
        partial[partialAt(begin, d, row + 2u)], partial[partialAt(begin, d, row + 3u)],
      ) * unstored;
    }
    fn store(begin: u32, d: u32, row: u32, sums: vec4f) {
      for (var r = 0u; r < 4u; r++) {
        if (row + r < p.rows && d < p.D) { partial[partialAt(begin, d, row + r)] = sums[r] / unstored; }
      }
    }
  `,
}

const withLayout = (by: Tiles, { rows, columns, ownColumns, partial }: TileLayout): Tiles => ({
  ...by,
  score: wgsl`${rows}${by.lanes ? ownColumns : columns}${by.score}`,
  weightedSum: wgsl`${partial}${by.weightedSum}`,
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
