// ReLU's mask, in terms of F, U and B (widths.ts): of numbers, or a bit for each number of images
// in f16. Behind a residual the backward pass cannot recompute the mask from x alone, and y, which
// has it, is sixteen times as large as the bits.
//
// A thread of the forward pass has 16 rows of four channels. Their 64 bits are two words, element
// [part, channel] of the marks. Row r has bits 4 r to 4 r + 3.

import { wgsl } from '../op.ts'

/** `passes(y)`: whether ReLU lets y through: y > 0, or NaN. `through(y, value)`: the value where it
 *  does, else 0. */
export const reluSnippet = wgsl`
  fn passes(y: F) -> B {
    let nan = (bitcast<U>(y) & U(0x7fffffffu)) > U(0x7f800000u); // by its bits, because max and comparisons may hide it
    return (y > F()) | nan;
  }
  fn through(y: F, value: F) -> F { return select(F(), value, passes(y)); }
`

/** Rows of two words. */
export const MARKED_ROWS = 16

/** For the forward pass, where `marks` is bound: before its rows, for each `value`, and after. */
export const marking = {
  begin: wgsl`
    var bits = vec2u();
    var row = 0u;`,
  each: wgsl`
      let passed = select(vec4u(), vec4u(1u, 2u, 4u, 8u), passes(value));
      let four = (passed.x | passed.y | passed.z | passed.w) << (row % 8u * 4u);
      bits |= select(vec2u(0u, four), vec2u(four, 0u), row < 8u);
      row += 1u;`,
  end: wgsl`
    marks[i] = bits;`,
}

/** For a backward pass whose threads have a multiple of 16 rows: before its rows, and for each,
 *  where `isPassed` is the mask. */
export const marked = {
  begin: wgsl`
    var bits = vec2u();
    var row = 0u;
    var markAt = (t.start / (p.interleave * 16u) * p.interleave + t.start % p.interleave) * p.C + t.channel;`,
  each: wgsl`
      if (row % 16u == 0u) {
        bits = marks[markAt];
        markAt += p.interleave * p.C;
      }
      let four = select(bits.y, bits.x, row % 16u < 8u) >> (row % 8u * 4u);
      let isPassed = (vec4u(four) & vec4u(1u, 2u, 4u, 8u)) > vec4u();
      row += 1u;`,
}

/** `marked(row, c, C) -> vec4<bool>`: the mask of any row's four channels c of C fours, of marks
 *  whose parts have every `p.interleave`-th row (batch-rows.ts). */
export const markedRow = wgsl`
  fn marked(row: u32, c: u32, C: u32) -> vec4<bool> {
    let inside = row % (p.interleave * 16u);
    let bits = marks[((row - inside) / 16u + inside % p.interleave) * C + c];
    let r = inside / p.interleave;
    let four = select(bits.y, bits.x, r < 8u) >> (r % 8u * 4u);
    return (vec4u(four) & vec4u(1u, 2u, 4u, 8u)) > vec4u();
  }
`
