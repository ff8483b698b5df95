// The moments of columns (epilogue-moments.ts) of sums in subgroup matrices.

import { type Wgsl, wgsl } from '../op.ts'
import { pieceType } from './epilogue-pieces.ts'

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
