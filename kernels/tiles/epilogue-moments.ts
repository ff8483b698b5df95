// The moments of a tiled product's columns, taken while its sums are at hand, for a batch normalisation that follows: of
// every chunk of 32 rows the mean and the sum of squared deviations from it, in two passes over numbers in registers.
// 32 rows are the smallest tile's, so that the chunks, and with them the bits, are the same whatever the tile. For the same
// reason sums over rows are a tree of fours: a tile may add a pair of them in one thread or in two.

import { type Shape, type Wgsl, wgsl } from '../op.ts'

/** Rows that each pair of moments is of. */
export const MOMENT_ROWS = 32

/** [mean | squared deviations, chunks, N] of a product of M rows and N columns. */
export const momentsShape = (M: number, N: number): Shape => [2, Math.ceil(M / MOMENT_ROWS), N]

/** The binding, and `keepMoments(row, column, mean, squares)` for the chunk that begins at a row; `rowsFrom(row)` is how
 *  many rows it has. Rows beyond the last are sums of zeros, which a mean need not leave out. */
export const momentsBinding = (number: Wgsl): Wgsl => wgsl`
    @group(0) @binding(${number}) var<storage, read_write> moments: array<f32>; // [mean | squared deviations, chunks, N]
    fn rowsFrom(row: u32) -> f32 { return f32(min(max(p.M, row + 1u) - row, 32u)); }
    fn keepMoments(row: u32, column: u32, mean: f32, squares: f32) {
      if (row >= p.M || column >= p.N) { return; }
      let at = row / 32u * p.N + column;
      moments[at] = mean;
      moments[(p.M + 31u) / 32u * p.N + at] = squares;
    }
`

const givenMemory = wgsl`
    override givenCount: u32 = threadsY * tileN / 4u;
    var<workgroup> given: array<vec4f, givenCount>;
`

/** For the engine in registers. A chunk is shared by eight threads, or four with twice the rows; each gives the others its sum,
 *  then its squares. In f32 they lie where factors were staged. */
export const registerMoments = {
  memory: (half: boolean): Wgsl => wgsl`
    const sharers = 8u / fours;
    ${half ? givenMemory : wgsl``}
    fn give(at: u32, value: vec4f) { ${half ? wgsl`given` : wgsl`staged`}[at] = value; }
    fn given4(at: u32) -> vec4f {
      var four = array<vec4f, 4>();
      for (var k = 0u; k < 4u; k++) { four[k] = ${half ? wgsl`given` : wgsl`staged`}[at + k * (tileN / 4u)]; }
      return (four[0] + four[1]) + (four[2] + four[3]);
    }
    fn given8(at: u32) -> vec4f {
      if (sharers == 4u) { return given4(at); }
      return given4(at) + given4(at + tileN);
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
      give(own + i * threadsX, sum);
    }
    workgroupBarrier();
    for (var i = 0u; i < fours; i++) { means[i] = given8(chunk + i * threadsX) / rowsFrom(chunkRow); }
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
      give(own + i * threadsX, squares);
    }
    workgroupBarrier();
    if (y0 % sharers > 0u) { return; }
    for (var i = 0u; i < fours; i++) {
      let squares = given8(chunk + i * threadsX);
      for (var e = 0u; e < 4u; e++) {
        keepMoments(chunkRow, tile.y + (x + i * threadsX) * 4u + e, means[i][e], squares[e]);
      }
    }
`,
}

/** The end of the engine on matrices. A team has whole chunks: of two pieces of 16 rows, each on its way out through
 *  workgroup memory, a thread keeps 8 rows of one column. Then two threads share a chunk's column. */
export const matrixMoments: Wgsl = wgsl`
    let lane = thread % 32u;
    let own = thread / 32u * 256u;
    let laneRow = lane / 16u * 8u;
    for (var pair = 0u; pair < tall / 2u; pair++) {
      for (var j = 0u; j < wide; j++) {
        let chunkRow = tile.x + thread / 32u / teamsX * 16u * tall + pair * 32u;
        let chunkColumn = tile.y + thread / 32u % teamsX * 16u * wide + j * 16u;
        var values = array<f32, 16>();
        var sum = 0.0;
        for (var half = 0u; half < 2u; half++) {
          spill(team * 256u, sums[pair * 2u + half][j], 16u);
          workgroupBarrier();
          for (var part = 0u; part < 2u; part++) {
            let row = lane / 4u + part * 8u;
            let column = lane % 4u * 4u;
            let at = own + row * 16u + column;
            finish(
              chunkRow + half * 16u + row,
              chunkColumn + column,
              vec4f(spilled[at], spilled[at + 1u], spilled[at + 2u], spilled[at + 3u]),
            );
          }
          for (var r = 0u; r < 8u; r++) {
            let value = spilled[own + (laneRow + r) * 16u + lane % 16u];
            values[half * 8u + r] = value;
            sum += value;
          }
          workgroupBarrier();
        }
        spilled[own + lane] = sum;
        workgroupBarrier();
        let mean = (spilled[own + lane % 16u] + spilled[own + 16u + lane % 16u]) / rowsFrom(chunkRow);
        var squares = 0.0;
        for (var e = 0u; e < 16u; e++) {
          let d = select(0.0, values[e] - mean, chunkRow + e / 8u * 16u + laneRow + e % 8u < p.M);
          squares = fma(d, d, squares);
        }
        spilled[own + 32u + lane] = squares;
        workgroupBarrier();
        if (lane < 16u) {
          keepMoments(chunkRow, chunkColumn + lane, mean, squares + spilled[own + 48u + lane]);
        }
        workgroupBarrier(); // before the words are written again
      }
    }
`
