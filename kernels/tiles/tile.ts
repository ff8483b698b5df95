// A matrix product in tiles, y = A B, for GPUs. A workgroup computes one tile of y: it walks along the sum, stages a slice of
// A's rows and of B's columns in workgroup memory, and multiplies what it staged while the next slice is on its way. What A,
// B and y are (matrices, images read in place) is a family's: WGSL with the functions that `Family` lists. How slices are
// multiplied is an engine's: by registers (mma-registers.ts) or by subgroup matrices (mma-subgroup.ts).
//
// A thread stages one block of 4 x 4 numbers of either factor, read as four vec4s that lie along the sum or across it,
// whichever way memory has them. Loops count to constants in steps of one, and indices of workgroup memory are products of
// constants and remainders, so that the bounds checks that WebGPU adds to WGSL are proven superfluous and vanish.

import { type Wgsl, wgsl } from '../op.ts'

/** The two factors and the product of a tiled kernel. */
export interface Family {
  /** The entry point's name. */
  readonly name: Wgsl
  /** Whether a vec4 of a factor lies along the sum (four k of one row or column), or across it (one k of four). */
  readonly along: { readonly a: boolean; readonly b: boolean }
  /** Whether y is bound as array<vec4f>, so that a tile that lies in it whole may be stored at once. */
  readonly whole: boolean
  /** Whether the moments of y's columns are stored too (see epilogue-moments.ts), in a binding that `code` has. */
  readonly moments?: boolean
  /** `struct Params` with M and N, the most rows and columns that the product has; the bindings; and
   *  - `enter(z)`, called first: z is the workgroup's, and numbers batches, phases or parts of the sum;
   *  - `steps(z) -> u32`: slices of the sum;
   *  - `struct Place`, a position in the sum: `place(k) -> Place` is the k-th of the first slice, `next(Place)` as far on in
   *    the next slice, `beside(Place)` the one after it;
   *  - `struct RowA`, `rowA(row) -> RowA` and `loadA(RowA, Place) -> vec4f`; `struct RowB`, `rowB(column)` and `loadB`: four
   *    numbers, zeros where there are none;
   *  - `finish(row, column, vec4f)`: stores four neighbours of y, those that exist;
   *  - if whole: `direct() -> bool`, whether rows of y follow each other p.N apart and take nothing more, and
   *    `start(z, row, column) -> u32`: where such an element lies, in vec4s. */
  readonly code: Wgsl
}

/** WGSL of an engine, around any family. */
export interface Engine {
  readonly head: Wgsl
  /** `depth`, k per slice; `tileM`, `tileN` and `threads`; memory and functions, among them `stageA` and `stageB`, which
   *  put a block into workgroup memory: (which fours of rows and of k, the numbers). */
  readonly code: Wgsl
  /** Parameters of the entry point, `thread` among them, and what opens its body. */
  readonly thread: Wgsl
  readonly begin: Wgsl
  /** Multiplies the staged slices, and stores the sums in the end. */
  readonly multiply: Wgsl
  readonly end: Wgsl
}

/** The WGSL of an engine around a family. */
export const tileSource = (
  { name, along, code }: Family,
  { head, code: engine, thread, begin, multiply, end }: Engine,
): Wgsl => wgsl`
  ${head}
  ${code}
  const aAlong = ${along.a ? wgsl`true` : wgsl`false`};
  const bAlong = ${along.b ? wgsl`true` : wgsl`false`};
  ${engine}
  override aBlocks: u32 = tileM * depth / 16u;
  override bBlocks: u32 = tileN * depth / 16u;

  fn rowsA(row: u32) -> array<RowA, 4> {
    return array<RowA, 4>(rowA(row), rowA(row + 1u), rowA(row + 2u), rowA(row + 3u));
  }
  fn rowsB(column: u32) -> array<RowB, 4> {
    return array<RowB, 4>(rowB(column), rowB(column + 1u), rowB(column + 2u), rowB(column + 3u));
  }
  fn takeA(rows: array<RowA, 4>, at: Place) -> array<vec4f, 4> {
    if (aAlong) {
      return array<vec4f, 4>(loadA(rows[0], at), loadA(rows[1], at), loadA(rows[2], at), loadA(rows[3], at));
    }
    let second = beside(at);
    let third = beside(second);
    return array<vec4f, 4>(
      loadA(rows[0], at), loadA(rows[0], second), loadA(rows[0], third), loadA(rows[0], beside(third)),
    );
  }
  fn takeB(rows: array<RowB, 4>, at: Place) -> array<vec4f, 4> {
    if (bAlong) {
      return array<vec4f, 4>(loadB(rows[0], at), loadB(rows[1], at), loadB(rows[2], at), loadB(rows[3], at));
    }
    let second = beside(at);
    let third = beside(second);
    return array<vec4f, 4>(
      loadB(rows[0], at), loadB(rows[0], second), loadB(rows[0], third), loadB(rows[0], beside(third)),
    );
  }

  // Row and column where a tile begins. Tiles come in bands of eight rows of them, so that workgroups that run together find
  // each other's rows and columns in the cache.
  fn corner(index: u32) -> vec2u {
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
    let tile = corner(group.y * groups.x + group.x);
    if (tile.x >= p.M) { return; } // a dispatch may end with tiles too many
    enter(group.z);
    // Where a factor has fewer blocks than there are threads, the first of them stage A and the last ones B.
    let second = thread - (threads - bBlocks);
    let stagesA = thread < aBlocks;
    let stagesB = second < bBlocks;
    let a = blockA(thread);
    let b = blockB(second);
    let aRows = rowsA(tile.x + a.x * 4u);
    let bRows = rowsB(tile.y + b.x * 4u);
    var aPlace = place(a.y * 4u);
    var bPlace = place(b.y * 4u);
    var aNext = array<vec4f, 4>();
    var bNext = array<vec4f, 4>();
    let count = steps(group.z);
    if (count > 0u) {
      if (stagesA) { aNext = takeA(aRows, aPlace); }
      if (stagesB) { bNext = takeB(bRows, bPlace); }
    }
    for (var step = 0u; step < count; step++) {
      if (stagesA) { stageA(a, aNext); }
      if (stagesB) { stageB(b, bNext); }
      workgroupBarrier();
      if (step + 1u < count) {
        aPlace = next(aPlace);
        bPlace = next(bPlace);
        if (stagesA) { aNext = takeA(aRows, aPlace); }
        if (stagesB) { bNext = takeB(bRows, bPlace); }
      }
      ${multiply}
      workgroupBarrier();
    }
    ${end}
  }
`

/** `four_<name>(at, begin, end) -> vec4f` of a storage buffer of that name, in elements: those of its four elements at `at` whose
 *  number i is begin <= i < end, and zeros. A wide buffer is bound as vec4s; then `at` is a multiple of four, and all four or
 *  none are asked for. */
export const four = (name: Wgsl, wide: boolean): Wgsl =>
  wide
    ? wgsl`
      fn four_${name}(at: u32, begin: i32, end: i32) -> vec4f {
        var numbers = vec4f();
        if (begin <= 0 && end > 0) { numbers = ${name}[at / 4u]; }
        return numbers;
      }
    `
    : wgsl`
      fn four_${name}(at: u32, begin: i32, end: i32) -> vec4f {
        var numbers = vec4f();
        for (var i = 0; i < 4; i++) {
          if (begin <= i && i < end) { numbers[i] = ${name}[at + u32(i)]; }
        }
        return numbers;
      }
    `

/** `put(at, count, vec4f)`: stores the first `count` of four numbers at y's element `at`, all four or none if it is wide. */
export const put = (wide: boolean): Wgsl =>
  wide
    ? wgsl`
      fn put(at: u32, count: u32, numbers: vec4f) {
        if (count > 0u) { y[at / 4u] = numbers; }
      }
    `
    : wgsl`
      fn put(at: u32, count: u32, numbers: vec4f) {
        for (var i = 0u; i < 4u; i++) {
          if (i < count) { y[at + i] = numbers[i]; }
        }
      }
    `

/** Whether a product of `columns` columns and `count` numbers in all is bound as vec4s: it needs room for the 16 x 16 that a
 *  team stores at once, without which the kernel would not be let run. */
export const isWhole = (columns: number, count: number): boolean => columns % 4 === 0 && count >= 256

/** The element type that a storage buffer is bound as. */
export const element = (wide: boolean): Wgsl => (wide ? wgsl`vec4f` : wgsl`f32`)
