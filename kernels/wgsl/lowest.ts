// Where a search for a maximum starts.

import { wgsl } from '../op.ts'

/** WGSL of `LOWEST`, the least finite f32. WGSL has no literal for infinity. */
export const lowest = wgsl`
  const LOWEST = -0x1.fffffep+127f;
`
