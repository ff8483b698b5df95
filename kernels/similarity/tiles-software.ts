// Tiles on a CPU adapter. A workgroup is one subgroup of eight threads, each with four rows of its
// own, so that no barrier is needed: Mesa's lavapipe splits a kernel at every barrier and keeps
// nothing in registers across one. The columns' numbers are loaded once per subgroup and broadcast;
// kernels/wgsl/broadcast-load.ts says why.

import { wgsl } from '../op.ts'
import type { Tiles } from './tile-types.ts'

export const softwareTiles: Tiles = {
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
    fn broadcast(own: f32) -> array<f32, 8> {
      return array<f32, 8>(
        subgroupShuffle(own, 0u), subgroupShuffle(own, 1u),
        subgroupShuffle(own, 2u), subgroupShuffle(own, 3u),
        subgroupShuffle(own, 4u), subgroupShuffle(own, 5u),
        subgroupShuffle(own, 6u), subgroupShuffle(own, 7u),
      );
    }
    fn columnAt(column: u32) -> u32 { return columnsFrom + min(column, p.columns - 1u) * p.along; }
    fn score(row: u32, column: u32, subgroup: u32) {
      let first = row + thread * 4u;
      for (var block = 0u; block < 4u; block++) { // of sixteen columns
        let at = columnAt(column + block * 16u + subgroup % 8u);
        let next = columnAt(column + block * 16u + 8u + subgroup % 8u);
        var sums = array<array<array<f32, 8>, 4>, 2>();
        for (var k = 0u; k < p.D; k++) {
          let own = broadcast(columns[at + k * p.sum]);
          let numbers = array(own, broadcast(columns[next + k * p.sum]));
          for (var r = 0u; r < 4u; r++) {
            let value = rows[rowAt(k, first + r)];
            for (var half = 0u; half < 2u; half++) {
              for (var i = 0u; i < 8u; i++) {
                sums[half][r][i] = fma(value, numbers[half][i], sums[half][r][i]);
              }
            }
          }
        }
        for (var half = 0u; half < 2u; half++) {
          let own = sums[half];
          for (var i = 0u; i < 8u; i++) {
            let column = vec4f(own[0][i], own[1][i], own[2][i], own[3][i]) * p.scale;
            setTile(block * 16u + half * 8u + i, thread, column);
          }
        }
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
        var sums = array<array<f32, 8>, 4>();
        if (!fresh) {
          for (var r = 0u; r < 4u; r++) {
            for (var i = 0u; i < 8u; i++) {
              sums[r][i] = partial[partialAt(begin, d + i, first + r)] * unstored * rescale[r];
            }
          }
        }
        for (var c = 0u; c < COLUMNS; c++) {
          let numbers = broadcast(values[columnsFrom + min(column + c, p.columns - 1u) * p.D + feature]);
          let weight = tileAt(c, thread);
          for (var r = 0u; r < 4u; r++) {
            for (var i = 0u; i < 8u; i++) { sums[r][i] = fma(weight[r], numbers[i], sums[r][i]); }
          }
        }
        for (var r = 0u; r < 4u; r++) {
          for (var i = 0u; i < 8u; i++) { store(begin, d + i, first + r, sums[r][i]); }
        }
      }
    }
  `,
}
