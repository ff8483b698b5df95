// Lines of an array [A, R, B]: line (a, b) is x[(a R + r) B + b] for r < R. A workgroup of 64 threads gives each line `lanes` of
// them. However many these are, a sum adds up every 64th element first, and what that makes in one order then: the bits
// are the same.

import { type Run, folded, wgsl } from './op.ts'

const SHORT = 1024 // numbers of a line that one thread of a CPU adapter sees to

/** Constants and workgroups of a kernel over `count` lines of R numbers. A CPU adapter gives a line one thread, as barriers
 *  are dear there, unless it is very long; a GPU gives a short one no more than it has use for. */
export function perLine(run: Run, count: number, R: number) {
  const some = Math.min(64, 2 ** Math.ceil(Math.log2(Math.max(1, R))))
  const lanes = run.software ? (R <= SHORT ? 1 : 64) : some
  return { constants: { lanes }, groups: folded(Math.ceil((count * lanes) / 64)) }
}

/** `lineIndex(group, groups, thread)`, which goes beyond the last line at the end; `laneOf(thread)`, the thread's number among those of
 *  its line; `lineStart(line, R, B)` (its elements lie B apart); and `lineSum` and `lineMax` of a value per thread. All threads of the
 *  workgroup must call these two together. A sum takes the elements r < R with r mod 64 = k for each k < `columnsOf(R)` that
 *  is a lane's: from its number on, every `lanes`-th. */
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
