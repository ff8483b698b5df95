// Eight rows per workgroup for what ends with one pass over each row of an array laid out [features, rows]: neighbouring threads
// read neighbouring rows, and enough threads are at work even for few rows.

import { folded, wgsl } from '../op.ts'

/** WGSL of a workgroup of 64 threads that finishes eight rows of arrays laid out [features, rows]: each row has eight threads,
 *  `rowOf(group, groups, thread)`, which take every eighth feature from `sliceOf(thread)` on and add up by `rowSum`, together. */
export const rowwise = wgsl`
  var<workgroup> slices: array<f32, 64>;
  fn rowOf(group: vec3u, groups: vec3u, thread: u32) -> u32 { return (group.y * groups.x + group.x) * 8u + thread % 8u; }
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
