// Division of f32 by f32 for all numbers.

import { wgsl } from '../op.ts'
import { enlarged } from '../wgsl/pointwise.ts'

/** `quotient(a, b)`: a / b for all a and b. WGSL is to divide precisely by numbers from 2^-126 to
 *  2^126 alone. Where b lies outside, both are scaled by powers of two. A quotient below 2^-126 may
 *  become 0. `divisorGradient(dy, b, y)`: dy y / b of y = a / b, also where dy / b alone overflows
 *  or underflows. */
export const quotient = wgsl`
  ${enlarged}
  fn quotient(a: f32, b: f32) -> f32 {
    let size = bitcast<u32>(b) & 0x7fffffffu;
    if (size > 0x7e800000u) { return a / (b * 0x1p-64f) * 0x1p-64f; } // above 2^126
    if (!isSubnormal(b)) {
      if (isSubnormal(a)) { return enlarged(a) / b * 0x1p-64f; }
      return a / b;
    }
    let small = (bitcast<u32>(a) & 0x7fffffffu) < 0x3f800000u; // below 1
    if (small) { return enlarged(a) / enlarged(b); }
    return a / enlarged(b) * 0x1p64f;
  }

  fn divisorGradient(dy: f32, b: f32, y: f32) -> f32 {
    let part = quotient(dy, b);
    let size = bitcast<u32>(part) & 0x7fffffffu;
    let isZero = (bitcast<u32>(dy) & 0x7fffffffu) == 0u;
    if (isZero || (size >= 0x00800000u && size < 0x7f800000u)) { return part * y; }
    let other = quotient(y, b);
    let isLost = size < 0x00800000u && (bitcast<u32>(other) & 0x7fffffffu) >= 0x7f800000u;
    return select(dy * other, part * y, isLost);
  }
`
