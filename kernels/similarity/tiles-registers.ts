// Tiles on a GPU without subgroup matrices. 64 threads share a tile of 64 rows and 32 columns,
// each with 8 rows x 4 columns in registers. Sixteen features at a time are staged in workgroup
// memory, from where a thread reads whole vectors. All of it fits into 16 KiB of workgroup memory,
// which every device has. In precision f16 the staged numbers are f16, which halves the traffic;
// sums stay f32.

import { type Wgsl, wgsl } from '../op.ts'
import type { Tiles } from './tile-types.ts'

const registerTilesOf = (factors: Wgsl): Tiles => ({
  rows: 64,
  ownColumns: null,
  head: wgsl`
    ${factors}
    const ROWS = 64u;
    const COLUMNS = 32u;
    const THREADS = 64u;
    const GROUPS = 16u;
    const SLICES = 4u;
    const TOGETHER = 32u;
    const PITCH = 17u; // one more than GROUPS: columns then lie in different banks
    const subgroup = 0u;
    fn groupOf(thread: u32) -> u32 { return thread % 16u; }
    fn sliceOf(thread: u32) -> u32 { return thread / 16u; }
    fn groupsOf(thread: u32) -> vec2u { return vec2u(0u, 16u); }
    fn overRowsMax(x: f32) -> f32 { return x; }
    fn overRowsSum(x: f32) -> f32 { return x; }
    fn fence() { workgroupBarrier(); }
  `,
  entry: wgsl`@builtin(local_invocation_index) index: u32`,
  prologue: wgsl`thread = index;`,
  score: wgsl`
    var<workgroup> tile: array<vec4f, 544>; // [COLUMNS, PITCH]
    var<workgroup> stagedRows: array<Factors, 256>; // [16 features, GROUPS]
    var<workgroup> stagedColumns: array<Factors, 128>; // [16 features, COLUMNS / 4]
    var<private> thread: u32 = 0u;
    fn tileAt(c: u32, group: u32) -> vec4f { return tile[c * PITCH + group]; }
    fn setTile(c: u32, group: u32, v: vec4f) { tile[c * PITCH + group] = v; }
    fn score(row: u32, column: u32, _subgroup: u32) {
      let x = thread % 8u; // columns 4 x
      let y = thread / 8u; // rows 4 y and 32 + 4 y
      var sums = array<array<vec4f, 2>, 4>(); // [column, half of the rows]
      for (var k0 = 0u; k0 < p.D; k0 += 16u) {
        for (var e = 0u; e < 4u; e++) {
          let item = thread + e * 64u;
          let to = select(item, (item % 16u) * 16u + item / 16u, BY_ROW);
          let k = k0 + to / 16u;
          let four = rowsAt(min(k, p.D - 1u), row + (to % 16u) * 4u);
          stagedRows[to] = Factors(select(vec4f(), four, k < p.D));
        }
        // Neighbours read neighbouring numbers, along features or along columns.
        for (var e = 0u; e < 2u; e++) {
          let item = thread + e * 64u;
          let to = select(item, (item % 16u) * 8u + item / 16u, p.sum == 1u);
          let four = columnsAt(min(k0 + to / 8u, p.D - 1u), column + (to % 8u) * 4u);
          stagedColumns[to] = Factors(four);
        }
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
          let first = vec4f(stagedRows[k * 16u + y]);
          let a = array<vec4f, 2>(first, vec4f(stagedRows[k * 16u + 8u + y]));
          let b = vec4f(stagedColumns[k * 8u + x]);
          for (var i = 0u; i < 4u; i++) {
            sums[i][0] = fma(a[0], vec4f(b[i]), sums[i][0]);
            sums[i][1] = fma(a[1], vec4f(b[i]), sums[i][1]);
          }
        }
        workgroupBarrier();
      }
      for (var i = 0u; i < 4u; i++) {
        setTile(x * 4u + i, y, sums[i][0] * p.scale);
        setTile(x * 4u + i, y + 8u, sums[i][1] * p.scale);
      }
      workgroupBarrier();
    }
  `,
  weightedSum: wgsl`
    var<workgroup> rescales: array<vec4f, 16>;
    fn addWeightedSum(
      row: u32, column: u32, begin: u32, fresh: bool, rescale: vec4f, _subgroup: u32,
    ) {
      if (thread < 16u) { rescales[thread] = rescale; }
      workgroupBarrier();
      let x = thread % 8u; // features x, x + 8, ...
      let y = thread / 8u;
      for (var d0 = 0u; d0 < p.D; d0 += 64u) {
        var sums = array<array<vec4f, 2>, 8>(); // [feature, half of the rows]
        for (var i = 0u; i < 8u; i++) {
          let d = d0 + i * 8u + x;
          if (!fresh && d < p.D) {
            sums[i][0] = stored(begin, d, row + y * 4u) * rescales[y];
            sums[i][1] = stored(begin, d, row + 32u + y * 4u) * rescales[y + 8u];
          }
        }
        for (var c = 0u; c < COLUMNS; c++) {
          let a = array<vec4f, 2>(tileAt(c, y), tileAt(c, y + 8u));
          let at = columnsFrom + min(column + c, p.columns - 1u) * p.D;
          for (var i = 0u; i < 8u; i++) {
            let value = values[at + min(d0 + i * 8u + x, p.D - 1u)];
            sums[i][0] = fma(a[0], vec4f(value), sums[i][0]);
            sums[i][1] = fma(a[1], vec4f(value), sums[i][1]);
          }
        }
        for (var i = 0u; i < 8u; i++) {
          let d = d0 + i * 8u + x;
          if (d < p.D) {
            store(begin, d, row + y * 4u, sums[i][0]);
            store(begin, d, row + 32u + y * 4u, sums[i][1]);
          }
        }
      }
      workgroupBarrier(); // before the tile is written again
    }
  `,
  finish: (of) => of,
})

/** Tiles of f32 factors. */
export const registerTiles = registerTilesOf(wgsl`alias Factors = vec4f;`)

/** Tiles of factors rounded to f16. */
export const registerTilesF16 = registerTilesOf(wgsl`
  enable f16;
  alias Factors = vec4<f16>;
`)
