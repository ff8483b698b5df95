// Lines of an array [A, R, B]: line (a, b) is x[(a R + r) B + b] for r < R. Of a workgroup's 64
// threads, each line has `lanes`. A sum first adds every 64th element, then these 64 partial sums
// in a fixed order, so the bits do not depend on `lanes`.

import { type Run, type Wgsl, folded, wgsl } from '../op.ts'

const SHORT = 1024 // numbers of a line that one thread of a software adapter takes

/** Constants and workgroups of a kernel over `count` lines of R numbers. On a software adapter,
 *  where barriers are slow, a line has one thread unless it is very long. On a GPU a short line has
 *  few. */
export function perLine(run: Run, count: number, R: number) {
  const onGpu = Math.min(64, 2 ** Math.ceil(Math.log2(Math.max(1, R))))
  const lanes = run.software ? (R <= SHORT ? 1 : 64) : onGpu
  return { constants: { lanes }, groups: folded(Math.ceil((count * lanes) / 64)) }
}

/** Declares, in the entry point of a kernel with `lines`, the thread's `line`, `lane` and `start`.
 *  Lines beyond the last repeat it. Params are the `count` of lines, R and B. */
export const linePrologue = wgsl`
    let line = min(lineIndex(group, groups, thread), p.count - 1u);
    let lane = laneOf(thread);
    let start = lineStart(line, p.R, p.B);`

/** Declares `sum`, the share of the thread `lane` in the sum of `term`, an expression of r, over
 *  r < `size`: the elements with r mod 64 = k, for every `lanes`-th k. `lineSum` adds the shares.
 *  `zero` is the sum of none. */
export const sumOverLine = (size: Wgsl, term: Wgsl, zero = wgsl`0.0`) => wgsl`
    var sum = ${zero};
    for (var k = lane; k < min(${size}, 64u); k += lanes) {
      var part = ${zero};
      for (var r = k; r < ${size}; r += 64u) { part += ${term}; }
      sum += part;
    }`

/** - `lineIndex(group, groups, thread)`: the thread's line, which may lie beyond the last.
 *  - `laneOf(thread)`: the thread's number among those of its line.
 *  - `lineStart(line, R, B)`: the offset of its first element; the others follow B apart.
 *  - `lineSum`, `lineMax` of a value per thread. The whole workgroup must call these together. */
export const lines = wgsl`
  override lanes: u32 = 64u;
  var<workgroup> partials: array<f32, 64>;
  fn lineIndex(group: vec3u, groups: vec3u, thread: u32) -> u32 {
    return (group.y * groups.x + group.x) * (64u / lanes) + thread / lanes;
  }
  fn laneOf(thread: u32) -> u32 { return thread % lanes; }
  fn lineStart(line: u32, R: u32, B: u32) -> u32 { return line / B * R * B + line % B; }
  fn lineSum(thread: u32, value: f32) -> f32 {
    if (lanes == 1u) { return value; }
    partials[thread] = value;
    workgroupBarrier();
    let first = thread / lanes * lanes;
    var sum = 0.0;
    for (var k = 0u; k < lanes; k++) { sum += partials[first + k]; }
    workgroupBarrier(); // before the memory is written again
    return sum;
  }
  fn lineMax(thread: u32, value: f32) -> f32 {
    if (lanes == 1u) { return value; }
    partials[thread] = value;
    workgroupBarrier();
    let first = thread / lanes * lanes;
    var most = partials[first];
    for (var k = 1u; k < lanes; k++) { most = max(most, partials[first + k]); }
    workgroupBarrier();
    return most;
  }
`
