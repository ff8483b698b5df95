// Tiles on tensor cores. Four subgroups of 32 threads share a tile of 64 rows, a quarter each, in
// 16 x 16 matrices. Their factors are staged as f16: rounded (precision f16), or as a high and a
// low part (f16x3). Products are computed transposed, [columns, rows], since a tile lies column by
// column. Weights are scaled by 512, which keeps them clear of f16's smallest numbers. Finite
// factors beyond f16's range become its largest number; NaN and infinity stay.

import { type Wgsl, wgsl } from '../op.ts'
import { saturated } from '../wgsl/nan.ts'
import { type Matrices, split } from '../wgsl/subgroup-matrix.ts'
import type { Tiles } from './tile-types.ts'

interface Factors {
  /** Declares COLUMNS, and PARTS, the number of parts that a factor is staged in. */
  readonly sizes: Wgsl
  /** Declares `stage(at, v)`. */
  readonly stage: Wgsl
  /** Adds the product of sixteen features or columns to `sums`. The left factors are staged at
   *  `left`, the right ones at `right`. */
  readonly multiply: Wgsl
}

const roundedFactors: Factors = {
  sizes: wgsl`
    const COLUMNS = 64u;
    const PARTS = 1u;
  `,
  stage: wgsl`
    ${saturated}
    fn stage(at: u32, v: vec4f) { staged[at] = vec4<f16>(saturated(v)); }
  `,
  multiply: wgsl`
    for (var j = 0u; j < 2u; j++) {
      let b = rightByRows(right + j * 4u, PITCH);
      for (var i = 0u; i < COLUMNS / 32u; i++) {
        sums[i][j] = multiplyAdd(leftByColumns(left + i * 4u, LEFT_PITCH), b, sums[i][j]);
      }
    }
  `,
}

const splitFactors: Factors = {
  sizes: wgsl`
    const COLUMNS = 32u;
    const PARTS = 2u;
  `,
  stage: wgsl`
    ${split}
    ${saturated}
    fn stage(at: u32, v: vec4f) {
      let bounded = saturated(v);
      staged[at] = high(bounded);
      staged[at + STAGED] = low(bounded);
    }
  `,
  multiply: wgsl`
    for (var j = 0u; j < 2u; j++) {
      let bHigh = rightByRows(right + j * 4u, PITCH);
      let bLow = rightByRows(right + j * 4u + STAGED, PITCH);
      for (var i = 0u; i < COLUMNS / 32u; i++) {
        let aHigh = leftByColumns(left + i * 4u, LEFT_PITCH);
        let aLow = leftByColumns(left + i * 4u + STAGED, LEFT_PITCH);
        sums[i][j] = multiplyAddSplit(aHigh, aLow, bHigh, bLow, sums[i][j]);
      }
    }
  `,
}

const tilesOf = (
  { sizes, stage, multiply }: Factors,
  { head, thread: entry, begin, factors, spill, finish }: Matrices,
): Tiles => ({
  rows: 64,
  ownColumns: null,
  head: wgsl`
    ${head}
    ${sizes}
    const ROWS = 64u;
    const THREADS = 128u;
    const GROUPS = 16u;
    const SLICES = 8u;
    const TOGETHER = COLUMNS;
    const PITCH = 18u; // of right factors [.., ROWS / 4]; two more, for rows in different banks
    const LEFT_PITCH = COLUMNS / 4u + 2u; // of left factors [16, COLUMNS / 4]
    const RIGHT = 16u * LEFT_PITCH; // where the right factors begin
    const STAGED = RIGHT + COLUMNS * PITCH;
    fn groupOf(thread: u32) -> u32 { return thread % 16u; }
    fn sliceOf(thread: u32) -> u32 { return thread / 16u; }
    fn groupsOf(thread: u32) -> vec2u { return vec2u(0u, 16u); }
    fn overRowsMax(x: f32) -> f32 { return x; }
    fn overRowsSum(x: f32) -> f32 { return x; }
    fn fence() { workgroupBarrier(); }
  `,
  entry,
  prologue: wgsl`
    ${begin}
    keepThread(thread);
  `,
  score: wgsl`
    var<workgroup> staged: array<vec4<f16>, PARTS * STAGED>;
    // The tile [COLUMNS, ROWS + 4], or sums [COLUMNS features, ROWS + 4].
    var<workgroup> spilled: array<f32, COLUMNS * 68u>;
    ${factors}
    ${spill}
    ${stage}
    var<private> thread: u32 = 0u;
    fn keepThread(own: u32) { thread = own; } // an entry point's parameter of that name hides it
    fn tileAt(c: u32, group: u32) -> vec4f {
      let at = c * 68u + group * 4u;
      return vec4f(spilled[at], spilled[at + 1u], spilled[at + 2u], spilled[at + 3u]);
    }
    fn setTile(c: u32, group: u32, v: vec4f) {
      for (var r = 0u; r < 4u; r++) { spilled[c * 68u + group * 4u + r] = v[r]; }
    }
    // Where a subgroup's quarter of a product begins.
    fn quarter(subgroup: u32) -> vec2u {
      return vec2u(subgroup / 2u * (COLUMNS / 2u), subgroup % 2u * 32u);
    }
    fn score(row: u32, column: u32, subgroup: u32) {
      let own = quarter(subgroup);
      var sums = array<array<Sums, 2>, COLUMNS / 32u>();
      for (var k0 = 0u; k0 < p.D; k0 += 16u) {
        for (var e = 0u; e < 2u; e++) {
          let item = thread + e * 128u;
          let to = select(vec2u(item / 16u, item % 16u), vec2u(item % 16u, item / 16u), BY_ROW);
          let k = k0 + to.x;
          let four = rowsAt(min(k, p.D - 1u), row + to.y * 4u);
          stage(RIGHT + to.x * PITCH + to.y, select(vec4f(), four, k < p.D));
        }
        // Neighbours read neighbouring numbers, along features or along columns.
        for (var e = 0u; e < COLUMNS / 32u; e++) {
          let item = thread + e * 128u;
          let across = COLUMNS / 4u;
          let byColumn = vec2u(item % 16u, item / 16u);
          let to = select(vec2u(item / across, item % across), byColumn, p.sum == 1u);
          let four = columnsAt(min(k0 + to.x, p.D - 1u), column + to.y * 4u);
          stage(to.x * LEFT_PITCH + to.y, four);
        }
        workgroupBarrier();
        let left = own.x / 4u;
        let right = RIGHT + own.y / 4u;
        ${multiply}
        workgroupBarrier();
      }
      for (var i = 0u; i < COLUMNS / 32u; i++) {
        for (var j = 0u; j < 2u; j++) {
          spill((own.x + i * 16u) * 68u + own.y + j * 16u, scaled(sums[i][j], p.scale), 68u);
        }
      }
      workgroupBarrier();
    }
  `,
  weightedSum: wgsl`
    var<workgroup> rescales: array<vec4f, 16>;
    fn addWeightedSum(
      row: u32, column: u32, begin: u32, fresh: bool, rescale: vec4f, subgroup: u32,
    ) {
      if (thread < 16u) { rescales[thread] = rescale; }
      for (var e = 0u; e < COLUMNS / 8u; e++) {
        let item = thread + e * 128u;
        stage(RIGHT + item / 16u * PITCH + item % 16u, tileAt(item / 16u, item % 16u) * 512.0);
      }
      let own = quarter(subgroup);
      for (var d0 = 0u; d0 < p.D; d0 += COLUMNS) {
        var sums = array<array<Sums, 2>, COLUMNS / 32u>();
        for (var c0 = 0u; c0 < COLUMNS; c0 += 16u) {
          workgroupBarrier();
          for (var e = 0u; e < COLUMNS / 32u; e++) {
            let item = thread + e * 128u;
            let c = item / (COLUMNS / 4u);
            let d = d0 + item % (COLUMNS / 4u) * 4u;
            let at = columnsFrom + min(column + c0 + c, p.columns - 1u) * p.D;
            let last = p.D - 1u;
            let four = vec4f(
              values[at + min(d, last)], values[at + min(d + 1u, last)],
              values[at + min(d + 2u, last)], values[at + min(d + 3u, last)],
            );
            stage(c * LEFT_PITCH + item % (COLUMNS / 4u), four);
          }
          workgroupBarrier();
          let left = own.x / 4u;
          let right = RIGHT + c0 * PITCH + own.y / 4u;
          ${multiply}
        }
        workgroupBarrier();
        for (var i = 0u; i < COLUMNS / 32u; i++) {
          for (var j = 0u; j < 2u; j++) {
            spill((own.x + i * 16u) * 68u + own.y + j * 16u, scaled(sums[i][j], 1.0 / 512.0), 68u);
          }
        }
        workgroupBarrier();
        for (var e = 0u; e < COLUMNS / 8u; e++) {
          let item = thread + e * 128u;
          let byRow = vec2u(item % COLUMNS, item / COLUMNS);
          let cell = select(vec2u(item / 16u, item % 16u), byRow, BY_ROW);
          let d = d0 + cell.x;
          if (d < p.D) {
            let first = row + cell.y * 4u;
            var sums = tileAt(cell.x, cell.y);
            if (!fresh) { sums += stored(begin, d, first) * rescales[cell.y]; }
            store(begin, d, first, sums);
          }
        }
      }
      workgroupBarrier(); // before the tile is written again
    }
  `,
  finish,
})

/** Tiles of factors that are rounded to f16. */
export const subgroupTilesF16 = (by: Matrices): Tiles => tilesOf(roundedFactors, by)

/** Tiles of factors in two f16 parts, which keep about f32's accuracy. */
export const subgroupTilesF16x3 = (by: Matrices): Tiles => tilesOf(splitFactors, by)
