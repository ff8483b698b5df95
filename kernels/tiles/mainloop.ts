// The main loop of a matrix product in tiles, y = A B, for GPUs. A workgroup computes one tile of
// y. It walks along the sum, stages a slice of A's rows and of B's columns in workgroup memory, and
// multiplies what is staged while it loads the next slice. A `Loader` says what A, B and y are; an
// `Mma` multiplies slices, in registers (mma-registers.ts) or by subgroup matrices
// (mma-subgroup.ts).
//
// A thread stages one block of 4 x 4 numbers of each factor. It reads the block as four vec4s,
// along the sum or across it, whichever way memory has them. WebGPU adds bounds checks to WGSL. A
// compiler drops them where it can prove them superfluous, so loops count to constants in steps of
// one, and indices of workgroup memory are products of constants and remainders.

import { type Wgsl, wgsl } from '../op.ts'
import type { Loader } from './loader.ts'

/** WGSL that multiplies staged slices and adds the products to the sums. */
export interface Mma {
  /** Opens the source. */
  readonly head: Wgsl
  /** Declares `depth`, k per slice; `tileM`, `tileN` and `threads`; the workgroup memory; and
   *  `stageA(at, block)` and `stageB(at, block)`, which write a block there: `at.x` numbers fours
   *  of rows or columns, `at.y` fours of k. */
  readonly code: Wgsl
  /** Parameters of the entry point, `thread` among them. */
  readonly thread: Wgsl
  /** Opens the body of the entry point. */
  readonly begin: Wgsl
  /** Multiplies the staged slices. */
  readonly multiply: Wgsl
  /** Stores the sums. */
  readonly end: Wgsl
}

/** The whole WGSL of a tiled product. */
export const tileSource = (
  { name, along, code }: Loader,
  { head, code: mma, thread, begin, multiply, end }: Mma,
): Wgsl => wgsl`
  ${head}
  ${code}
  const aAlong = ${along.a ? wgsl`true` : wgsl`false`};
  const bAlong = ${along.b ? wgsl`true` : wgsl`false`};
  ${mma}
  override aBlocks: u32 = tileM * depth / 16u;
  override bBlocks: u32 = tileN * depth / 16u;

  fn rowsA(row: u32) -> array<RowA, 4> {
    return array<RowA, 4>(rowA(row), rowA(row + 1u), rowA(row + 2u), rowA(row + 3u));
  }
  fn rowsB(column: u32) -> array<RowB, 4> {
    return array<RowB, 4>(rowB(column), rowB(column + 1u), rowB(column + 2u), rowB(column + 3u));
  }
  fn loadBlockA(rows: array<RowA, 4>, at: Coords) -> array<vec4f, 4> {
    if (aAlong) {
      return array<vec4f, 4>(loadA(rows[0], at), loadA(rows[1], at), loadA(rows[2], at), loadA(rows[3], at));
    }
    let second = nextK(at);
    let third = nextK(second);
    return array<vec4f, 4>(
      loadA(rows[0], at), loadA(rows[0], second), loadA(rows[0], third), loadA(rows[0], nextK(third)),
    );
  }
  fn loadBlockB(rows: array<RowB, 4>, at: Coords) -> array<vec4f, 4> {
    if (bAlong) {
      return array<vec4f, 4>(loadB(rows[0], at), loadB(rows[1], at), loadB(rows[2], at), loadB(rows[3], at));
    }
    let second = nextK(at);
    let third = nextK(second);
    return array<vec4f, 4>(
      loadB(rows[0], at), loadB(rows[0], second), loadB(rows[0], third), loadB(rows[0], nextK(third)),
    );
  }

  // Row and column where a tile begins. Tiles are numbered in bands of eight rows of tiles, so that
  // workgroups that run at the same time share rows and columns in the cache.
  fn tileOrigin(index: u32) -> vec2u {
    let down = (p.M + tileM - 1u) / tileM;
    let across = (p.N + tileN - 1u) / tileN;
    let band = index / (8u * across);
    let height = min(8u, max(down, band * 8u + 1u) - band * 8u);
    let inside = index - band * 8u * across;
    let column = inside / height;
    return vec2u((band * 8u + inside - column * height) * tileM, column * tileN);
  }

  @compute @workgroup_size(threads)
  fn ${name}(${thread}, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
    ${begin}
    let tile = tileOrigin(group.y * groups.x + group.x);
    if (tile.x >= p.M) { return; } // the dispatch may have more tiles than needed
    prologue(group.z);
    // Where a factor has fewer blocks than there are threads, the first threads stage A, the last
    // stage B.
    let second = thread - (threads - bBlocks);
    let stagesA = thread < aBlocks;
    let stagesB = second < bBlocks;
    let a = blockA(thread);
    let b = blockB(second);
    let aRows = rowsA(tile.x + a.x * 4u);
    let bRows = rowsB(tile.y + b.x * 4u);
    var aCoords = coordsAt(a.y * 4u);
    var bCoords = coordsAt(b.y * 4u);
    var aNext = array<vec4f, 4>();
    var bNext = array<vec4f, 4>();
    let count = sliceCount(group.z);
    if (count > 0u) {
      if (stagesA) { aNext = loadBlockA(aRows, aCoords); }
      if (stagesB) { bNext = loadBlockB(bRows, bCoords); }
    }
    for (var step = 0u; step < count; step++) {
      if (stagesA) { stageA(a, aNext); }
      if (stagesB) { stageB(b, bNext); }
      workgroupBarrier();
      if (step + 1u < count) {
        aCoords = nextSlice(aCoords);
        bCoords = nextSlice(bCoords);
        if (stagesA) { aNext = loadBlockA(aRows, aCoords); }
        if (stagesB) { bNext = loadBlockB(bRows, bCoords); }
      }
      ${multiply}
      workgroupBarrier();
    }
    ${end}
  }
`
