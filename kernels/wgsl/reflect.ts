// Reflection at the edges of an image, without repeating the edge: torch.nn.functional.pad's mode
// 'reflect'.

import { wgsl } from '../op.ts'

/** WGSL of `reflectIndex(i, size)`: -1 becomes 1, and size becomes size - 2. Holds for
 *  -size < i < 2 size - 1. */
export const reflectIndex = wgsl`
  fn reflectIndex(i: i32, size: i32) -> i32 {
    let inside = abs(i); // beyond the first, then beyond the last
    return select(inside, 2 * (size - 1) - inside, inside >= size);
  }
`
