// One workgroup of 64 threads per line of an array [A, R, B]: line (a, b) is x[(a R + r) B + b] for r < R.
// The threads take every 64th element and share what they found through 64 words, read by all in one order.

import { wgsl } from './op.ts'

const MOST = 65535 // workgroups per dimension that every device allows

/** Workgroups for `count` lines, folded over two dimensions; the kernel finds its own with `lineIndex(group,
 *  groups)`. */
export function linewise(count: number): readonly [x: number, y: number] {
  const y = Math.max(1, Math.ceil(count / MOST))
  return [Math.ceil(count / y), y]
}

/** `lineIndex(group, groups)`, `lineStart(line, R, B)` (its elements lie B apart), and `lineSum` and
 *  `lineMax` of a value per thread. All threads of the workgroup must call these together. */
export const lines = wgsl`
  var<workgroup> found: array<f32, 64>;
  fn lineIndex(group: vec3u, groups: vec3u) -> u32 { return group.y * groups.x + group.x; }
  fn lineStart(line: u32, R: u32, B: u32) -> u32 { return line / B * R * B + line % B; }
  fn lineSum(thread: u32, value: f32) -> f32 {
    found[thread] = value;
    workgroupBarrier();
    var sum = 0.0;
    for (var k = 0u; k < 64u; k++) { sum += found[k]; }
    workgroupBarrier(); // before the words are written again
    return sum;
  }
  fn lineMax(thread: u32, value: f32) -> f32 {
    found[thread] = value;
    workgroupBarrier();
    var most = found[0];
    for (var k = 1u; k < 64u; k++) { most = max(most, found[k]); }
    workgroupBarrier();
    return most;
  }
`
