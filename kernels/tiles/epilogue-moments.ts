// The epilogue of a tiled product that also stores the moments of its columns, for a batch
// normalisation that follows: of every chunk of 32 rows, the mean and the sum of squared deviations
// from it, in two passes over sums that are still in registers.
//
// 32 rows are the smallest tile's, so that chunks, and with them the bits, do not depend on the
// tile. Sums over rows are a tree of fours for the same reason: a tile may add two numbers in one
// thread or in two.

import { type Shape, type Wgsl, wgsl } from '../op.ts'
import { pieceType } from './epilogue-pieces.ts'

/** Rows of one chunk. */
export const MOMENT_ROWS = 32

/** [mean | squared deviations, chunks, N] of a product of M rows and N columns. */
export const momentsShape = (M: number, N: number): Shape => [2, Math.ceil(M / MOMENT_ROWS), N]

/** The binding `moments`; `storeMoments(row, column, mean, squares)` of the chunk that begins at a
 *  row; and `rowsFrom(row)`, the rows that the chunk has. Rows beyond the last hold zeros, so a sum
 *  may include them. */
export const momentsBinding = (number: Wgsl): Wgsl => wgsl`
    @group(0) @binding(${number}) var<storage, read_write> moments: array<f32>; // [mean | squares, chunks, N]
    fn rowsFrom(row: u32) -> f32 { return f32(min(max(p.M, row + 1u) - row, 32u)); }
    fn storeMoments(row: u32, column: u32, mean: f32, squares: f32) {
      if (row >= p.M || column >= p.N) { return; }
      let at = row / 32u * p.N + column;
      moments[at] = mean;
      moments[(p.M + 31u) / 32u * p.N + at] = squares;
    }
`

/** For sums in registers. Eight threads share a chunk, or four with twice the rows each. They
 *  exchange their sums, then their squares, through the workgroup memory where factors were
 *  staged. */
export const registerMoments = {
  memory: wgsl`
    const sharers = 8u / fours;
    fn put(at: u32, value: vec4f) { staged[at] = value; }
    fn sum4(at: u32) -> vec4f {
      var four = array<vec4f, 4>();
      for (var k = 0u; k < 4u; k++) { four[k] = staged[at + k * (tileN / 4u)]; }
      return (four[0] + four[1]) + (four[2] + four[3]);
    }
    fn sum8(at: u32) -> vec4f {
      if (sharers == 4u) { return sum4(at); }
      return sum4(at) + sum4(at + tileN);
    }
`,
  end: wgsl`
    let own = y0 * (tileN / 4u) + x;
    let chunk = y0 / sharers * sharers * (tileN / 4u) + x;
    let chunkRow = tile.x + y0 / sharers * 32u;
    var means = array<vec4f, fours>();
    for (var i = 0u; i < fours; i++) {
      var sum = vec4f();
      for (var four = 0u; four < fours; four++) {
        let at = four * 4u;
        sum += ((sums[at][i] + sums[at + 1u][i]) + sums[at + 2u][i]) + sums[at + 3u][i];
      }
      put(own + i * threadsX, sum);
    }
    workgroupBarrier();
    for (var i = 0u; i < fours; i++) { means[i] = sum8(chunk + i * threadsX) / rowsFrom(chunkRow); }
    workgroupBarrier();
    for (var i = 0u; i < fours; i++) {
      var squares = vec4f();
      for (var four = 0u; four < fours; four++) {
        var part = vec4f();
        for (var r = 0u; r < 4u; r++) {
          let row = four * 4u + r;
          let d = select(vec4f(), sums[row][i] - means[i], tile.x + y0 * 4u * fours + row < p.M);
          part = fma(d, d, part);
        }
        squares += part;
      }
      put(own + i * threadsX, squares);
    }
    workgroupBarrier();
    if (y0 % sharers > 0u) { return; }
    for (var i = 0u; i < fours; i++) {
      let squares = sum8(chunk + i * threadsX);
      for (var e = 0u; e < 4u; e++) {
        storeMoments(chunkRow, tile.y + (x + i * threadsX) * 4u + e, means[i][e], squares[e]);
      }
    }
`,
}

/** For sums in subgroup matrices, after `piecesCode`. A subgroup has whole chunks, as two pieces of
 *  16 rows. While a piece passes through workgroup memory, a thread keeps 8 rows of one column. Two
 *  threads share a column. `storeChunk(thread, subgroup, row, column, upper piece, lower piece)`.
 *  `exact`: f16x3, whose pieces have two parts each. */
export const subgroupMoments = (exact: boolean): Wgsl => {
  const pieces = exact
    ? wgsl`upper: Sums, lower: Sums, upperSmall: Sums, lowerSmall: Sums`
    : wgsl`upper: Sums, lower: Sums`
  return wgsl`
    fn storeAndKeep(thread: u32, subgroup: u32, row: u32, column: u32, ${pieceType(exact)}) -> array<f32, 8> {
      storePiece(thread, subgroup, row, column, ${exact ? wgsl`sums, small` : wgsl`sums`});
      var values = array<f32, 8>();
      for (var r = 0u; r < 8u; r++) {
        values[r] = spilled[thread / 32u * 256u + (thread % 32u / 16u * 8u + r) * 16u + thread % 16u];
      }
      workgroupBarrier();
      return values;
    }
    fn storeChunk(thread: u32, subgroup: u32, row: u32, column: u32, ${pieces}) {
      let lane = thread % 32u;
      let own = thread / 32u * 256u;
      var values = array<array<f32, 8>, 2>(
        storeAndKeep(thread, subgroup, row, column, ${exact ? wgsl`upper, upperSmall` : wgsl`upper`}),
        storeAndKeep(thread, subgroup, row + 16u, column, ${exact ? wgsl`lower, lowerSmall` : wgsl`lower`}),
      );
      var sum = 0.0;
      for (var e = 0u; e < 16u; e++) { sum += values[e / 8u][e % 8u]; }
      spilled[own + lane] = sum;
      workgroupBarrier();
      let mean = (spilled[own + lane % 16u] + spilled[own + 16u + lane % 16u]) / rowsFrom(row);
      let first = row + lane / 16u * 8u;
      var squares = 0.0;
      for (var e = 0u; e < 16u; e++) {
        let d = select(0.0, values[e / 8u][e % 8u] - mean, first + e / 8u * 16u + e % 8u < p.M);
        squares = fma(d, d, squares);
      }
      spilled[own + 32u + lane] = squares;
      workgroupBarrier();
      if (lane < 16u) { storeMoments(row, column + lane, mean, squares + spilled[own + 48u + lane]); }
      workgroupBarrier(); // before the memory is written again
    }
`
}
