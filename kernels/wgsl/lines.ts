// Lines of an array [A, R, B]: line (a, b) is x[(a R + r) B + b] for r < R. A workgroup of 64
// threads gives each line `lanes` of them. However many these are, a sum adds up every 64th element
// first, and what that makes in one order then: the bits are the same.

import { type Run, folded, wgsl } from '../op.ts'

const SHORT = 1024 // numbers of a line that one thread of a CPU adapter sees to

/** Constants and workgroups of a kernel over `count` lines of R numbers. A CPU adapter, to which
 *  barriers are dear, gives a line one thread unless it is very long. A GPU gives a short one few.
 *  */
export function perLine(run: Run, count: number, R: number) {
  const some = Math.min(64, 2 ** Math.ceil(Math.log2(Math.max(1, R))))
  const lanes = run.software ? (R <= SHORT ? 1 : 64) : some
  return { constants: { lanes }, groups: folded(Math.ceil((count * lanes) / 64)) }
}

/** - `lineIndex(group, groups, thread)`: the thread's line, which may lie beyond the last.
 *  - `laneOf(thread)`: the thread's number among those of its line.
 *  - `lineStart(line, R, B)`: where its first element lies; the others lie B apart.
 *  - `lineSum`, `lineMax` of a value per thread. The whole workgroup must call these together.
 *  - `columnsOf(R)`: a lane sums, for every `lanes`-th k from its own number on below this, the
 *    elements r < R with r mod 64 = k. */
export const lines = wgsl`
  override lanes: u32 = 64u;
  var<workgroup> found: array<f32, 64>;
  fn lineIndex(group: vec3u, groups: vec3u, thread: u32) -> u32 {
    return (group.y * groups.x + group.x) * (64u / lanes) + thread / lanes;
  }
  fn laneOf(thread: u32) -> u32 { return thread % lanes; }
  fn lineStart(line: u32, R: u32, B: u32) -> u32 { return line / B * R * B + line % B; }
  fn columnsOf(R: u32) -> u32 { return min(R, 64u); }
  fn lineSum(thread: u32, value: f32) -> f32 {
    if (lanes == 1u) { return value; }
    found[thread] = value;
    workgroupBarrier();
    let first = thread / lanes * lanes;
    var sum = 0.0;
    for (var k = 0u; k < lanes; k++) { sum += found[first + k]; }
    workgroupBarrier(); // before the words are written again
    return sum;
  }
  fn lineMax(thread: u32, value: f32) -> f32 {
    if (lanes == 1u) { return value; }
    found[thread] = value;
    workgroupBarrier();
    let first = thread / lanes * lanes;
    var most = found[first];
    for (var k = 1u; k < lanes; k++) { most = max(most, found[first + k]); }
    workgroupBarrier();
    return most;
  }
`
