// The epilogue of a tiled product that also stores the moments of its columns, for a batch
// normalisation that follows: of every chunk of 32 rows, the mean and the sum of squared deviations
// from it, in two passes over sums that are still in registers.
//
// 32 rows are the smallest tile's, so that chunks, and with them the bits, do not depend on the
// tile. Sums over rows are a tree of fours for the same reason: a tile may add two numbers in one
// thread or in two.

import { type Shape, type Wgsl, wgsl } from '../op.ts'

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
