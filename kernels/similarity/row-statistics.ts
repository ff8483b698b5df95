// The logsumexp of every row's similarities, as a pair (top, sum) with Σ exp(s) = sum exp(top), so
// that no temperature overflows it. Similarities are symmetric: a workgroup takes a block of rows
// and a block of columns, and computes the statistics of both from the same tiles. So only blocks
// on and above the diagonal are computed. Every (row, block) has one writer, and rows add up their
// blocks in order, which gives the same bits on every run.

import { type Kernel, type Run, type Tensor, type Wgsl, kernel, wgsl } from '../op.ts'
import { lowest } from '../wgsl/lowest.ts'
import { type Pairs, type UnitRows, pairParams, pairsParams, rowsOf } from './pairs.ts'
import { fourRows, padded, pairTiles } from './tiles.ts'

const statistics = wgsl`
  ${lowest}
  fn blockBegin(block: u32) -> u32 {
    let view = select(0u, block / p.blocks, p.across == 1u);
    return view * p.view + (block - view * p.blocks) * p.span;
  }
  fn blockEnd(block: u32) -> u32 {
    let end = select(p.rows, p.view * (1u + block / p.blocks), p.across == 1u);
    return min(blockBegin(block) + p.span, end);
  }
  fn offset(plane: u32, block: u32, row: u32) -> u32 {
    return (plane * p.blocks + block % p.blocks) * p.rows + row;
  }
  ${fourRows}

  fn statistics(item: u32, subgroup: u32) {
    var I = item / p.blocks;
    var J = p.blocks + item % p.blocks;
    if (p.across == 0u) { // the item-th pair of I <= J
      I = 0u;
      J = item;
      for (; J >= p.blocks; I++) { J -= p.blocks - I - 1u; }
    }
    for (var row = blockBegin(I); row < blockEnd(I); row += ROWS) {
      statisticsOfRows(row, I, J, subgroup);
    }
  }

  // Reduces ROWS rows over the columns of block J, and these columns over the rows.
  fn statisticsOfRows(row: u32, I: u32, J: u32, subgroup: u32) {
    let group = groupOf(thread);
    let slice = sliceOf(thread);
    let i = fourRows(row + group * 4u);
    var top = vec4f(LOWEST);
    var sum = vec4f();
    var more = vec4f();
    for (var column = blockBegin(J); column < blockEnd(J); column += COLUMNS) {
      score(row, column, subgroup);
      var most = top;
      for (var k = 0u; k < COLUMNS / SLICES; k++) {
        let c = k * SLICES + slice;
        most = max(most, select(vec4f(LOWEST), tileAt(c, group), counts(i, column + c)));
      }
      sum *= exp(top - most);
      for (var k = 0u; k < COLUMNS / SLICES; k++) {
        let c = k * SLICES + slice;
        let s = tileAt(c, group);
        sum += select(vec4f(), exp(s - most), counts(i, column + c));
        if (EXTRA) { more += extra(i, column + c, s); }
      }
      top = most;
      if (I != J) { statisticsOfColumns(row, column, I); }
      fence();
    }
    setTile(0u, thread, top); // the tile's memory serves to exchange
    setTile(8u, thread, sum);
    setTile(16u, thread, more);
    fence();
    if (slice == 0u) {
      for (var other = thread + GROUPS; other < THREADS; other += GROUPS) {
        let most = max(top, tileAt(0u, other));
        sum = sum * exp(top - most) + tileAt(8u, other) * exp(tileAt(0u, other) - most);
        more += tileAt(16u, other);
        top = most;
      }
      for (var r = 0u; r < 4u; r++) {
        partial[offset(0u, J, i[r])] = top[r];
        partial[offset(1u, J, i[r])] = sum[r];
        if (EXTRA) { partial[offset(2u, J, i[r])] = more[r]; }
      }
    }
    fence();
  }

  fn statisticsOfColumns(row: u32, column: u32, I: u32) {
    fence();
    let fresh = row == blockBegin(I);
    let groups = groupsOf(thread);
    for (var k = 0u; k < COLUMNS / TOGETHER; k++) {
      let c = k * TOGETHER + thread % TOGETHER;
      let j = column + c;
      var tops = vec4f(LOWEST);
      for (var g = groups.x; g < groups.y; g++) {
        tops = max(tops, select(vec4f(LOWEST), tileAt(c, g), counts(fourRows(row + g * 4u), j)));
      }
      let top = overRowsMax(max(max(tops.x, tops.y), max(tops.z, tops.w)));
      var sums = vec4f();
      var more = vec4f();
      for (var g = groups.x; g < groups.y; g++) {
        let i = fourRows(row + g * 4u);
        let s = tileAt(c, g);
        sums += select(vec4f(), exp(s - top), counts(i, j));
        if (EXTRA) { more += extra(i, j, s); }
      }
      let sum = overRowsSum(dot(sums, vec4f(1.0)));
      if (EXTRA) { more.x = overRowsSum(dot(more, vec4f(1.0))); }
      if (thread == c % THREADS) {
        let stored = vec2f(partial[offset(0u, I, j)], partial[offset(1u, I, j)]);
        let before = select(stored, vec2f(LOWEST, 0.0), fresh);
        let most = max(top, before.x);
        partial[offset(0u, I, j)] = most;
        partial[offset(1u, I, j)] = before.y * exp(before.x - most) + sum * exp(top - most);
        if (EXTRA) {
          partial[offset(2u, I, j)] = select(partial[offset(2u, I, j)], 0.0, fresh) + more.x;
        }
      }
    }
  }
`

/** The kernel `name` of the statistics of all rows. It binds rows and columns. `terms` declares the
 *  other bindings, from 2 on: what the loss reads, `partial` [planes, blocks, R] and the Params
 *  `p`; and two symmetric functions: `counts(i, j)`, true where the rows i and the row j count in
 *  each other's sums, and `extra(i, j, s)`, the term of a third sum where `EXTRA` is true. */
export const statisticsKernel = (name: Wgsl, terms: Wgsl) =>
  pairTiles(
    ({ head, entry, prologue, score }) => kernel`
  ${head}
  @group(0) @binding(0) var<storage, read>       rows:    array<Rows>; // [D, R]
  @group(0) @binding(1) var<storage, read>       columns: array<Columns>; // [D, R]
  ${pairParams}
  ${score}
  ${terms}
  ${statistics}

  @compute @workgroup_size(THREADS)
  fn ${name}(${entry}, @builtin(workgroup_id) group: vec3u) {
    ${prologue}
    statistics(group.x, subgroup);
  }
`,
  )

/** Runs a `statisticsKernel` on unit rows. Returns (top, sum, extra) of every row and
 *  block, [planes, blocks, R]. */
export function runStatistics(
  run: Run,
  kernelFor: (run: Run) => Kernel,
  pairs: Pairs,
  { zT }: UnitRows,
  { reads = [], planes = 2 }: { readonly reads?: readonly Tensor[]; readonly planes?: number } = {},
): Tensor {
  const size = pairs.across ? pairs.view : rowsOf(pairs)
  const span = padded(Math.ceil(size / (run.software ? 8 : 64)))
  const blocks = Math.ceil(size / span)
  const items = pairs.across ? blocks * blocks : (blocks * (blocks + 1)) / 2
  const [partial] = run(kernelFor(run), {
    reads: [zT, zT, ...reads],
    makes: [[planes, blocks, rowsOf(pairs)]],
    params: { ...pairsParams(pairs), blocks, span },
    groups: [items],
  })
  return partial
}
