// Tiles on a CPU adapter. A workgroup is one subgroup of eight threads, each with four rows of its
// own, so that no barrier is needed: Mesa's lavapipe splits a kernel at every barrier and keeps
// nothing in registers across one. The columns' numbers are loaded once per subgroup and broadcast;
// kernels/wgsl/broadcast-load.ts says why.

import { type Wgsl, wgsl } from '../op.ts'
import { columnOf } from '../wgsl/column-of.ts'
import type { Tiles } from './tile-types.ts'

const sixteen = (of: (i: Wgsl) => Wgsl): Wgsl =>
  Array.from({ length: 16 }, (_, i) => of(`${i}u` as Wgsl)).reduce((x, y) => wgsl`${x}, ${y}`)

// A lane's share of features k to k + 3 of sixteen columns, `ownColumns(k, column, lane)`, and of
// that `columnOf(own, i)`, these features of column i. Features beyond the last are 0.
const inFours = wgsl`
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
`
const oneByOne = wgsl`
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
`

export const softwareTiles: Tiles = {
  rows: 32,
  ownColumns: (fours) => (fours ? inFours : oneByOne),
  head: wgsl`
    enable subgroups;
    const ROWS = 32u;
    const COLUMNS = 64u;
    const THREADS = 8u;
    const GROUPS = 8u;
    const SLICES = 1u;
    const TOGETHER = 1u;
    fn groupOf(thread: u32) -> u32 { return thread; }
    fn sliceOf(thread: u32) -> u32 { return 0u; }
    fn groupsOf(thread: u32) -> vec2u { return vec2u(thread, thread + 1u); }
    fn overRowsMax(x: f32) -> f32 { return subgroupMax(x); }
    fn overRowsSum(x: f32) -> f32 { return subgroupAdd(x); }
    fn fence() {}
  `,
  entry: wgsl`
    @builtin(local_invocation_index) index: u32,
    @builtin(subgroup_invocation_id) subgroup: u32`,
  prologue: wgsl`thread = index;`,
  score: wgsl`
    var<workgroup> tile: array<vec4f, 512>; // [COLUMNS, GROUPS]
    var<private> thread: u32 = 0u;
    fn tileAt(c: u32, group: u32) -> vec4f { return tile[c * GROUPS + group]; }
    fn setTile(c: u32, group: u32, v: vec4f) { tile[c * GROUPS + group] = v; }
    alias Sums = array<vec4f, 16>; // [column] of four rows
    fn addColumn(sum: vec4f, rows: mat4x4f, w: vec4f) -> vec4f {
      let two = fma(rows[1], vec4f(w.y), fma(rows[0], vec4f(w.x), sum));
      return fma(rows[3], vec4f(w.w), fma(rows[2], vec4f(w.z), two));
    }
    fn rowsOrZero(k: u32, row: u32) -> vec4f {
      return select(vec4f(), rowsAt(min(k, p.D - 1u), row), k < p.D);
    }
    fn score(row: u32, column: u32, subgroup: u32) {
      let first = row + thread * 4u;
      for (var block = 0u; block < 4u; block++) { // of sixteen columns
        var sums = Sums();
        for (var k = 0u; k < p.D; k += 4u) {
          let own = ownColumns(k, column + block * 16u, subgroup);
          let four = mat4x4f(
            rowsOrZero(k, first), rowsOrZero(k + 1u, first),
            rowsOrZero(k + 2u, first), rowsOrZero(k + 3u, first),
          );
          sums = Sums(${sixteen((i) => wgsl`addColumn(sums[${i}], four, columnOf(own, ${i}))`)});
        }
        for (var i = 0u; i < 16u; i++) { setTile(block * 16u + i, thread, sums[i] * p.scale); }
      }
    }
  `,
  weightedSum: wgsl`
    fn addWeightedSum(
      row: u32, column: u32, begin: u32, fresh: bool, rescale: vec4f, subgroup: u32,
    ) {
      let first = row + thread * 4u;
      for (var d = 0u; d < p.D; d += 8u) {
        let feature = min(d + subgroup % 8u, p.D - 1u);
        var sums = array<vec4f, 8>(); // [feature] of four rows
        if (!fresh) {
          for (var i = 0u; i < 8u; i++) { sums[i] = stored(begin, d + i, first) * rescale; }
        }
        for (var c = 0u; c < COLUMNS; c++) {
          let own = values[columnsFrom + min(column + c, p.columns - 1u) * p.D + feature];
          let weight = tileAt(c, thread);
          for (var i = 0u; i < 8u; i++) {
            sums[i] = fma(weight, vec4f(subgroupShuffle(own, i)), sums[i]);
          }
        }
        for (var i = 0u; i < 8u; i++) { store(begin, d + i, first, sums[i]); }
      }
    }
  `,
  finish: (of) => of,
}
