// The epilogue of a data gradient in tiles whose y is the gradient of a batch norm's output, in
// f16. It stores dz, that gradient behind ReLU's mask, and for every chunk of 64 rows the sums of
// dz and of dz x^, x^ the normalised x. So batch norm's backward pass has no first pass, which
// would read dz.
//
// It is there for sums in subgroup matrices only, whose tiles have 64 rows or more. As in
// epilogue-moments.ts, chunks and the order of sums are the same for every tile.

import { type Shape, type Wgsl, wgsl } from '../op.ts'
import type { NormReader } from '../pending.ts'
import type { NormSums } from './loader.ts'
import { pieceType } from './epilogue-pieces.ts'
import { markedRow, reluSnippet } from '../wgsl/relu-mask.ts'
import { fours } from '../wgsl/widths.ts'
import { widen4 } from '../wgsl/storage.ts'

const CHUNK = 64 // rows

/** [sums of dz | of dz x^, chunks, N] of a product of M rows in each of some layers. */
export const normSumsShape = (M: number, layers: number, N: number): Shape => [
  2,
  Math.ceil(M / CHUNK) * layers,
  N,
]

/** The dispatch of a kernel with such sums. */
export const normDispatch = ({ x, stats, gamma, beta, rectified, marks, addend }: NormReader) => ({
  columns: marks ? inMarks : inX,
  reads: marks ? [x, stats, marks.bits, addend ?? x] : [x, stats, gamma, beta],
  params: { interleave: marks?.interleave ?? 1 },
  constants: marks ? { added: Number(addend !== null) } : { rectified: Number(rectified) },
})

/** Bindings 2 to 5 and 7, and what `storeChunk` needs of a loader that has `exists(row, column)`,
 *  whether an element of y exists, `placeOf4(row, column)`, its place in fours, `chunkOf(row)` and
 *  `chunkCount()`. Params has `interleave`, of the marks. */
const normBindings = (mask: NormSums['mask']): Wgsl => wgsl`
    @group(0) @binding(2) var<storage, read>       normed: array<vec2u>; // [rows of y, N], what was normalised
    @group(0) @binding(3) var<storage, read>       stats:  array<vec4f>; // [mean | 1 / deviation, N]
    ${
      mask === 'marks'
        ? wgsl`
    @group(0) @binding(4) var<storage, read>       marks:  array<vec2u>; // [parts of 16 rows, N]
    @group(0) @binding(5) var<storage, read>       more:   array<vec2u>; // [rows of y, N], an addend, if there is one
    override added: bool = false;`
        : wgsl`
    @group(0) @binding(4) var<storage, read>       gamma:  array<vec4f>; // [N]
    @group(0) @binding(5) var<storage, read>       beta:   array<vec4f>; // [N]
    override rectified: bool = false;`
    }
    @group(0) @binding(7) var<storage, read_write> totals: array<f32>; // [sums of dz | of dz x^, chunks, N]
    ${fours}
    ${widen4}
    ${reluSnippet}
    ${mask === 'marks' ? markedRow : wgsl``}
    struct Passed { dz: vec4f, normal: vec4f }
    fn passOn(row: u32, column: u32, numbers: vec4f) -> Passed {
      if (!exists(row, column)) { return Passed(); }
      let at = placeOf4(row, column);
      let C = p.N / 4u;
      let c = column / 4u;
      let normal = (widen4(normed[at]) - stats[c]) * stats[C + c];
      var dz = numbers;
      ${
        mask === 'marks'
          ? wgsl`if (added) { dz += widen4(more[at]); }
      dz = select(vec4f(), dz, marked(at / C, c, C));`
          : wgsl`if (rectified) { dz = through(fma(normal, gamma[c], beta[c]), dz); }`
      }
      y[at] = narrow4(dz);
      return Passed(dz, normal);
    }
`

const inMarks: NormSums = { mask: 'marks', bindings: normBindings('marks') }
const inX: NormSums = { mask: 'x', bindings: normBindings('x') }

/** After `piecesCode`, for 16 columns at a time:
 *  - `storeChunk(thread, subgroup, row, column, upper piece, lower piece) -> f32`: a lane's sum
 *    over 32 rows. The lower lanes have dz, the upper ones dz x^. A thread reads four columns of
 *    every eighth row.
 *  - `storeTotal(thread, row, column, total)`, of 64 rows;
 *  - `storeShared(thread, subgroup, row, column, total)`, of 32, added to those of the subgroup
 *    below where 64 begin.
 *  `exact`: f16x3, whose pieces have two parts each. */
export const subgroupNormSums = (exact: boolean): Wgsl => {
  const pieces = exact
    ? wgsl`upper: Sums, lower: Sums, upperSmall: Sums, lowerSmall: Sums`
    : wgsl`upper: Sums, lower: Sums`
  return wgsl`
    fn storeTotal(thread: u32, row: u32, firstColumn: u32, total: f32) {
      let column = firstColumn + thread % 16u;
      if (row >= p.M || column >= p.N) { return; }
      totals[(thread % 32u / 16u * chunkCount() + chunkOf(row)) * p.N + column] = total;
    }
    fn storeShared(thread: u32, subgroup: u32, row: u32, column: u32, total: f32) {
      spilled[thread] = total;
      workgroupBarrier();
      if (row % 64u == 0u) { storeTotal(thread, row, column, total + spilled[(thread + 32u * subgroupsX) % threads]); }
      workgroupBarrier(); // before the memory is written again
    }
    struct Totals { sum: vec4f, product: vec4f }
    fn passPiece(thread: u32, subgroup: u32, row: u32, column: u32, before: Totals, ${pieceType(exact)}) -> Totals {
      spillSums(thread, subgroup, ${exact ? wgsl`sums, small` : wgsl`sums`});
      workgroupBarrier();
      var totals = before;
      for (var part = 0u; part < 2u; part++) {
        let r = thread % 32u / 4u + part * 8u;
        let c = thread % 4u * 4u;
        let at = thread / 32u * 256u + r * 16u + c;
        let passed = passOn(row + r, column + c, vec4f(spilled[at], spilled[at + 1u], spilled[at + 2u], spilled[at + 3u]));
        totals.sum += passed.dz;
        totals.product = fma(passed.dz, passed.normal, totals.product);
      }
      workgroupBarrier(); // before the memory is written again
      return totals;
    }
    fn storeChunk(thread: u32, subgroup: u32, row: u32, column: u32, ${pieces}) -> f32 {
      let lane = thread % 32u;
      let own = thread / 32u * 256u; // of eight lines: 16 sums, 16 sums of products
      let above = passPiece(thread, subgroup, row, column, Totals(), ${exact ? wgsl`upper, upperSmall` : wgsl`upper`});
      let whole = passPiece(thread, subgroup, row + 16u, column, above, ${exact ? wgsl`lower, lowerSmall` : wgsl`lower`});
      for (var e = 0u; e < 4u; e++) {
        let at = own + lane / 4u * 32u + lane % 4u * 4u + e;
        spilled[at] = whole.sum[e];
        spilled[at + 16u] = whole.product[e];
      }
      workgroupBarrier();
      var total = 0.0;
      for (var line = 0u; line < 8u; line++) { total += spilled[own + line * 32u + lane]; }
      workgroupBarrier(); // before the memory is written again
      return total;
    }
`
}
