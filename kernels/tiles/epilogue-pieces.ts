// The epilogue of a tiled product on subgroup matrices: sums pass through workgroup memory, from
// which a thread can read single ones. The 16 x 16 pieces stand one by one in the text, because a
// compiler may not unroll a loop with barriers, and would then keep all sums in memory.

import { type Wgsl, wgsl } from '../op.ts'

/** `spillSums(thread, subgroup, sums)`: to be read after a barrier. `storePiece(thread, subgroup,
 *  row, column, sums)` stores a piece of y. `exact`: f16x3, where `sums` is followed by 2,048 times
 *  the sums of small products. */
export const piecesCode = (exact: boolean): Wgsl => wgsl`
    ${exact ? spillSplit : spillWhole}
    fn storePiece(thread: u32, subgroup: u32, row: u32, column: u32, ${pieceType(exact)}) {
      let lane = thread % 32u;
      ${exact ? wgsl`spillSums(thread, subgroup, sums, small);` : wgsl`spillSums(thread, subgroup, sums);`}
      workgroupBarrier();
      for (var part = 0u; part < 2u; part++) {
        let r = lane / 4u + part * 8u;
        let c = lane % 4u * 4u;
        let at = thread / 32u * 256u + r * 16u + c;
        epilogue(row + r, column + c, vec4f(spilled[at], spilled[at + 1u], spilled[at + 2u], spilled[at + 3u]));
      }
    }
`

/** Parameters of a function that takes the sums of a piece. */
export const pieceType = (exact: boolean): Wgsl =>
  exact ? wgsl`sums: Sums, small: Sums` : wgsl`sums: Sums`

const spillWhole = wgsl`
    fn spillSums(thread: u32, subgroup: u32, sums: Sums) { spill(subgroup * 256u, sums, 16u); }
`
const spillSplit = wgsl`
    fn spillSums(thread: u32, subgroup: u32, sums: Sums, small: Sums) {
      let own = thread / 32u * 256u + thread % 32u;
      var numbers = array<f32, 8>();
      spill(subgroup * 256u, small, 16u);
      workgroupBarrier();
      for (var e = 0u; e < 8u; e++) { numbers[e] = spilled[own + e * 32u] / 2048.0; }
      workgroupBarrier();
      spill(subgroup * 256u, sums, 16u);
      workgroupBarrier();
      for (var e = 0u; e < 8u; e++) { spilled[own + e * 32u] += numbers[e]; }
    }
`

// Row and column where a subgroup's sums begin.
const corner = wgsl`
    let row = tile.x + thread / 32u / subgroupsX * 16u * tall;
    let column = tile.y + thread / 32u % subgroupsX * 16u * wide;
`

/** Stores all sums of a workgroup. */
export const storePieces = (tall: 2 | 4, wide: 2 | 4, exact: boolean): Wgsl => wgsl`
    ${corner}
    ${lines(
      tall,
      wide,
      (
        i,
        j,
      ) => wgsl`storePiece(thread, subgroup, row + ${i} * 16u, column + ${j} * 16u, sums[${i}][${j}]${exact ? wgsl`, smalls[${i}][${j}]` : wgsl``});
    workgroupBarrier(); // before the memory is written again`,
    )}
`

/** The same, two pieces above each other at a time, with the moments of their columns
 *  (epilogue-moments.ts). */
export const storeMoments = (tall: 2 | 4, wide: 2 | 4, exact: boolean): Wgsl => wgsl`
    ${corner}
    ${lines(tall === 4 ? 2 : 1, wide, (pair, j) => wgsl`${chunk(pair, j, exact)};`)}
`

/** The same with the sums of a batch norm, whose chunks have 64 rows: all of a subgroup, or of
 *  two. */
export const storeNormSums = (tall: 2 | 4, wide: 2 | 4, exact: boolean): Wgsl => wgsl`
    ${corner}
    ${lines(1, wide, (first, j) =>
      tall === 4
        ? wgsl`storeTotal(thread, row, column + ${j} * 16u, ${chunk(first, j, exact)} + ${chunk(wgsl`1u`, j, exact)});`
        : wgsl`storeShared(thread, subgroup, row, column + ${j} * 16u, ${chunk(first, j, exact)});`,
    )}
`

/** The call for two pieces above each other. */
function chunk(pair: Wgsl, j: Wgsl, exact: boolean): Wgsl {
  const [i, below] = [wgsl`${pair} * 2u`, wgsl`${pair} * 2u + 1u`]
  const small = exact ? wgsl`, smalls[${i}][${j}], smalls[${below}][${j}]` : wgsl``
  return wgsl`storeChunk(thread, subgroup, row + ${pair} * 32u, column + ${j} * 16u, sums[${i}][${j}], sums[${below}][${j}]${small})`
}

const numbers = [wgsl`0u`, wgsl`1u`, wgsl`2u`, wgsl`3u`]

/** A line of WGSL for each of rows x columns. */
const lines = (rows: number, columns: number, line: (i: Wgsl, j: Wgsl) => Wgsl): Wgsl =>
  numbers
    .slice(0, rows)
    .flatMap((i) => numbers.slice(0, columns).map((j) => line(i, j)))
    .reduce(
      (above, below) => wgsl`${above}
    ${below}`,
    )
