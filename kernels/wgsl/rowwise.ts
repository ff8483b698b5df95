// One pass over each row of an array laid out [features, rows], eight rows per workgroup.
// Neighbouring threads read neighbouring rows, and even few rows occupy enough threads.

import { folded, wgsl } from '../op.ts'

/** For workgroups of 64 threads, eight per row. `rowOf(group, groups, thread)` is the thread's row.
 *  It takes every eighth feature from `sliceOf(thread)` on. `rowSum(thread, value)` adds up the
 *  eight threads' values; the whole workgroup must call it together. */
export const rowwise = wgsl`
  var<workgroup> slices: array<f32, 64>;
  fn rowOf(group: vec3u, groups: vec3u, thread: u32) -> u32 {
    return (group.y * groups.x + group.x) * 8u + thread % 8u;
  }
  fn sliceOf(thread: u32) -> u32 { return thread / 8u; }
  fn rowSum(thread: u32, own: f32) -> f32 {
    slices[thread] = own;
    workgroupBarrier();
    var sum = 0.0;
    for (var s = 0u; s < 8u; s++) { sum += slices[s * 8u + thread % 8u]; }
    return sum;
  }
`

/** Workgroups of a `rowwise` kernel, folded over two dimensions. */
export const eightRows = (rows: number) => folded(Math.ceil(rows / 8))
