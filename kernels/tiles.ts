// Tiles of similarities, the inner part of every fused contrastive loss. A workgroup computes the products of some rows with
// 64 columns into its own memory, where the loss turns them into statistics or weights, and may pull the rows towards
// the columns by those weights. So a matrix of similarities exists one tile at a time, as attention's does in
// FlashAttention (Dao et al. 2022, https://arxiv.org/abs/2205.14135), and nothing of its size is stored.
//
// A kernel that uses `tile` binds `rows`, `columns` and, to pull, `pulled` and `partial`, and has in its Params
//   rows, D    rows [D, rows]: feature by feature, padded to whole tiles
//   columns    how many; a number beyond is read as the last, and must get weight 0
//   along, sum how far apart in `columns` two columns lie, and two features of one
//   scale      what products are multiplied with, 1 / T
// Each thread works on vectors of four rows: in `tile`, rows [4 group, 4 group + 4) and the column c are tile[c * PITCH + group].

import { type Kernel, type Run, type Wgsl, wgsl } from './op.ts'

/** Columns of a tile; `rows` is padded to a multiple of it, which is a whole number of tiles on every machine. */
export const TILE = 64

/** The WGSL of one way to compute tiles, for `tiles`. */
export interface Tiles {
  /** Opens the source. */
  readonly head: Wgsl
  /** Parameters of the entry point, whose first statement is `enter(index, neighbor)`. */
  readonly thread: Wgsl
  /** `score(row, column)` fills the tile that begins there; `fence()` before other threads read what one wrote. */
  readonly score: Wgsl
  /** `pull(row, column, begin, fresh, keep)`: partial[begin + d rows + i] = keep of it, 0 if fresh, + sum of weights x pulled. */
  readonly pull: Wgsl
}

// A CPU adapter: one subgroup of eight, each thread with four rows of its own, so that no barrier is needed; the
// columns' numbers are loaded once per subgroup and broadcast (kernels/lanes.ts says why).
const lanes: Tiles = {
  head: wgsl`
    enable subgroups;
    const ROWS = 32u;
    const GROUPS = 8u; // of four rows
    const SLICES = 1u; // threads that share a group, each with every SLICES-th column
    const PITCH = 8u;
    const THREADS = 8u;
    fn groupOf(thread: u32) -> u32 { return thread; }
    fn sliceOf(thread: u32) -> u32 { return 0u; }
    const TOGETHER = 1u; // columns of which statistics are taken at once, each by the threads that hold its rows
    fn groupsOf(thread: u32) -> vec2u { return vec2u(thread, thread + 1u); }
    fn overRowsMax(x: f32) -> f32 { return subgroupMax(x); }
    fn overRowsSum(x: f32) -> f32 { return subgroupAdd(x); }
    fn fence() {}
  `,
  thread: wgsl`@builtin(local_invocation_index) index: u32, @builtin(subgroup_invocation_id) neighbor: u32`,
  score: wgsl`
    var<workgroup> tile: array<vec4f, 512>; // [COLUMNS, GROUPS]
    var<workgroup> staged: array<vec4f, 512>; // [64 features, GROUPS]
    var<private> thread: u32 = 0u;
    var<private> lane: u32 = 0u;
    fn enter(own: u32, neighbor: u32) {
      thread = own;
      lane = neighbor % 8u;
    }
    fn spread(own: f32) -> array<f32, 8> {
      return array<f32, 8>(
        subgroupBroadcast(own, 0u), subgroupBroadcast(own, 1u), subgroupBroadcast(own, 2u), subgroupBroadcast(own, 3u),
        subgroupBroadcast(own, 4u), subgroupBroadcast(own, 5u), subgroupBroadcast(own, 6u), subgroupBroadcast(own, 7u),
      );
    }
    fn score(row: u32, column: u32) {
      let first = row + thread * 4u;
      for (var k0 = 0u; k0 < p.D; k0 += 64u) {
        let depth = min(64u, p.D - k0);
        for (var k = 0u; k < depth; k++) {
          let at = (k0 + k) * p.rows + first;
          staged[k * 8u + thread] = vec4f(rows[at], rows[at + 1u], rows[at + 2u], rows[at + 3u]);
        }
        for (var block = 0u; block < 8u; block++) {
          let at = min(column + block * 8u + lane, p.columns - 1u) * p.along + k0 * p.sum;
          var sums = array<vec4f, 8>();
          if (k0 > 0u) {
            for (var i = 0u; i < 8u; i++) { sums[i] = tile[(block * 8u + i) * PITCH + thread]; }
          }
          for (var k = 0u; k < depth; k++) {
            let numbers = spread(columns[at + k * p.sum]);
            let value = staged[k * 8u + thread];
            for (var i = 0u; i < 8u; i++) { sums[i] = fma(value, vec4f(numbers[i]), sums[i]); }
          }
          let factor = select(1.0, p.scale, k0 + 64u >= p.D);
          for (var i = 0u; i < 8u; i++) { tile[(block * 8u + i) * PITCH + thread] = sums[i] * factor; }
        }
      }
    }
  `,
  pull: wgsl`
    fn pull(row: u32, column: u32, begin: u32, fresh: bool, keep: vec4f) {
      let first = begin + row + thread * 4u;
      for (var d = 0u; d < p.D; d += 8u) {
        let feature = min(d + lane, p.D - 1u);
        var sums = array<array<f32, 8>, 4>();
        if (!fresh) {
          for (var r = 0u; r < 4u; r++) {
            for (var i = 0u; i < 8u; i++) { sums[r][i] = partial[first + (d + i) * p.rows + r] * keep[r]; }
          }
        }
        for (var c = 0u; c < 64u; c++) {
          let numbers = spread(pulled[min(column + c, p.columns - 1u) * p.D + feature]);
          let weight = tile[c * PITCH + thread];
          for (var r = 0u; r < 4u; r++) {
            for (var i = 0u; i < 8u; i++) { sums[r][i] = fma(weight[r], numbers[i], sums[r][i]); }
          }
        }
        for (var r = 0u; r < 4u; r++) {
          for (var i = 0u; i < 8u; i++) { partial[first + (d + i) * p.rows + r] = sums[r][i]; }
        }
      }
    }
  `,
}

// A GPU: 64 threads share a tile of 64 rows, each with 8 rows x 8 columns in registers; sixteen features at a time are
// staged in workgroup memory, from where a thread takes whole vectors.
const grid: Tiles = {
  head: wgsl`
    const ROWS = 64u;
    const GROUPS = 16u;
    const SLICES = 4u;
    const PITCH = 17u; // one more than GROUPS: columns then lie in different banks
    const THREADS = 64u;
    const neighbor = 0u;
    fn groupOf(thread: u32) -> u32 { return thread % 16u; }
    fn sliceOf(thread: u32) -> u32 { return thread / 16u; }
    const TOGETHER = 64u;
    fn groupsOf(thread: u32) -> vec2u { return vec2u(0u, 16u); }
    fn overRowsMax(x: f32) -> f32 { return x; }
    fn overRowsSum(x: f32) -> f32 { return x; }
    fn fence() { workgroupBarrier(); }
  `,
  thread: wgsl`@builtin(local_invocation_index) index: u32`,
  score: wgsl`
    var<workgroup> tile: array<vec4f, 1088>; // [COLUMNS, PITCH]
    var<workgroup> stagedRows: array<vec4f, 256>; // [16 features, GROUPS]
    var<workgroup> stagedColumns: array<vec4f, 256>;
    var<private> thread: u32 = 0u;
    fn enter(own: u32, _neighbor: u32) { thread = own; }
    fn columnsAt(k: u32, column: u32) -> vec4f {
      let at = k * p.sum;
      let last = p.columns - 1u;
      return vec4f(
        columns[at + min(column, last) * p.along], columns[at + min(column + 1u, last) * p.along],
        columns[at + min(column + 2u, last) * p.along], columns[at + min(column + 3u, last) * p.along],
      );
    }
    fn score(row: u32, column: u32) {
      let x = thread % 8u; // columns 4 x and 32 + 4 x
      let y = thread / 8u; // rows 4 y and 32 + 4 y
      var sums = array<array<vec4f, 2>, 8>(); // [column, half of the rows]
      for (var k0 = 0u; k0 < p.D; k0 += 16u) {
        for (var e = 0u; e < 4u; e++) {
          let item = thread + e * 64u;
          let k = k0 + item / 16u;
          let at = min(k, p.D - 1u) * p.rows + row + (item % 16u) * 4u;
          let inside = f32(k < p.D);
          stagedRows[item] = vec4f(rows[at], rows[at + 1u], rows[at + 2u], rows[at + 3u]) * inside;
          let to = select(item, (item % 16u) * 16u + item / 16u, p.sum == 1u);
          stagedColumns[to] = columnsAt(min(k0 + to / 16u, p.D - 1u), column + (to % 16u) * 4u);
        }
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
          let a = array<vec4f, 2>(stagedRows[k * 16u + y], stagedRows[k * 16u + 8u + y]);
          let b = array<vec4f, 2>(stagedColumns[k * 16u + x], stagedColumns[k * 16u + 8u + x]);
          for (var i = 0u; i < 8u; i++) {
            sums[i][0] = fma(a[0], vec4f(b[i / 4u][i % 4u]), sums[i][0]);
            sums[i][1] = fma(a[1], vec4f(b[i / 4u][i % 4u]), sums[i][1]);
          }
        }
        workgroupBarrier();
      }
      for (var i = 0u; i < 8u; i++) {
        let to = ((i / 4u) * 32u + x * 4u + i % 4u) * PITCH + y;
        tile[to] = sums[i][0] * p.scale;
        tile[to + 8u] = sums[i][1] * p.scale;
      }
      workgroupBarrier();
    }
  `,
  pull: wgsl`
    var<workgroup> kept: array<vec4f, 16>;
    fn pull(row: u32, column: u32, begin: u32, fresh: bool, keep: vec4f) {
      if (thread < 16u) { kept[thread] = keep; }
      workgroupBarrier();
      let x = thread % 8u; // features x, x + 8, ...
      let y = thread / 8u;
      for (var d0 = 0u; d0 < p.D; d0 += 64u) {
        var sums = array<array<vec4f, 2>, 8>(); // [feature, half of the rows]
        for (var i = 0u; i < 8u; i++) {
          let d = d0 + i * 8u + x;
          if (!fresh && d < p.D) {
            let at = begin + d * p.rows + row + y * 4u;
            sums[i][0] = vec4f(partial[at], partial[at + 1u], partial[at + 2u], partial[at + 3u]) * kept[y];
            sums[i][1] = vec4f(partial[at + 32u], partial[at + 33u], partial[at + 34u], partial[at + 35u]) * kept[y + 8u];
          }
        }
        for (var c = 0u; c < 64u; c++) {
          let a = array<vec4f, 2>(tile[c * PITCH + y], tile[c * PITCH + 8u + y]);
          let at = min(column + c, p.columns - 1u) * p.D + d0 + x;
          for (var i = 0u; i < 8u; i++) {
            let value = pulled[min(at + i * 8u, p.columns * p.D - 1u)];
            sums[i][0] = fma(a[0], vec4f(value), sums[i][0]);
            sums[i][1] = fma(a[1], vec4f(value), sums[i][1]);
          }
        }
        for (var i = 0u; i < 8u; i++) {
          let d = d0 + i * 8u + x;
          if (d < p.D) {
            let at = begin + d * p.rows + row + y * 4u;
            for (var r = 0u; r < 4u; r++) {
              partial[at + r] = sums[i][0][r];
              partial[at + 32u + r] = sums[i][1][r];
            }
          }
        }
      }
      workgroupBarrier(); // before the tile is written again
    }
  `,
}

/** The kernel that `make` builds around the way to compute tiles that suits the machine. */
export function tiled(make: (by: Tiles) => Kernel): (run: Run) => Kernel {
  const [onGpu, onCpu] = [make(grid), make(lanes)]
  return (run) => (hasLanes(run) ? onCpu : onGpu)
}

/** Rows of a tile. */
export const tileRows = (run: Run): number => (hasLanes(run) ? 32 : TILE)

const hasLanes = (run: Run) => run.software && run.subgroupSize >= 8

/** A count rounded up to whole tiles. */
export const padded = (count: number): number => Math.ceil(count / TILE) * TILE
