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

import { type Kernel, type Precision, type Run, form, ownOf, wgsl } from '../op.ts'
import type { TileLayout, Tiles } from './tile-types.ts'
import { registerTiles, registerTilesF16 } from './tiles-registers.ts'

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
const columnsOneByOne: Pick<TileLayout, 'columns' | 'inFours'> = {
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
  inFours: false,
}

/** Rows [D, rows] and columns [D, columns], both padded to whole tiles; partial [splits, D,
 *  rows]. */
export const byFeature: TileLayout = {
  rows: rowsByFeature,
  columns: wgsl`
    alias Columns = vec4f;
    fn columnsAt(k: u32, column: u32) -> vec4f { return columns[(k * p.sum + column) / 4u]; }
  `,
  inFours: true,
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

const withLayout = (by: Tiles, { rows, columns, inFours, partial }: TileLayout): Tiles => ({
  ...by,
  score: wgsl`${rows}${by.ownColumns?.(inFours) ?? columns}${by.score}`,
  weightedSum: wgsl`${partial}${by.weightedSum}`,
})

/** Tiles on subgroup matrices, for each precision that allows them. */
export const matrixTiles = form<Readonly<Record<Exclude<Precision, 'f32'>, Tiles>>>()
/** Tiles on an adapter on the CPU. */
export const cpuTiles = form<Tiles>()

/** The way in which a machine computes tiles. */
function tilesOf(run: Run): Tiles {
  const { precision, software } = run
  const inMatrices = precision === 'f32' ? null : ownOf(run, matrixTiles)?.[precision]
  const inHalves = precision === 'f16' && !software
  return inMatrices ?? ownOf(run, cpuTiles) ?? (inHalves ? registerTilesF16 : registerTiles)
}

/** Builds a kernel around the way in which a machine computes tiles, on first use. */
export function pairTiles(
  build: (by: Tiles) => Kernel,
  layout: TileLayout = byFeature,
): (run: Run) => Kernel {
  const made = new Map<Tiles, Kernel>()
  return (run) => {
    const by = tilesOf(run)
    const program = made.get(by) ?? by.finish(build(withLayout(by, layout)))
    made.set(by, program)
    return program
  }
}

/** Rows of a tile. */
export const tileRows = (run: Run): number => tilesOf(run).rows

/** Rounds a count up to whole tiles. */
export const padded = (count: number): number => Math.ceil(count / TILE) * TILE

/** WGSL of `fourRows(first)`: the rows first, first + 1, first + 2, first + 3. */
export const fourRows = wgsl`
  fn fourRows(first: u32) -> vec4u { return vec4u(first) + vec4u(0u, 1u, 2u, 3u); }
`
