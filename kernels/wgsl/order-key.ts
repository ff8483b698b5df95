// Numbers as whole numbers of the same order.

import { wgsl } from '../op.ts'

/** `keyOf(bits)` of the bits of an f32. Keys have the order of the numbers, from 1 on; -0 equals 0,
 *  and NaN comes first, as in torch. */
export const orderKey = wgsl`
  fn keyOf(bits: u32) -> u32 {
    let magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) { return 0xff800001u; } // one above that of +infinity
    return select(0x80000000u + magnitude, 0x80000000u - magnitude, bits != magnitude);
  }
`
