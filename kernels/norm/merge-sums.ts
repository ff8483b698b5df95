// Sums over many chunks of rows, added in order into sums over fewer.

import { type Run, type Tensor, dim, elementwise, flatIndex, kernel } from '../op.ts'
import { byWidth, widthOf } from '../wgsl/widths.ts'

const MAX_PARTS = 512

// A thread takes one channel, or four, of one part.
const mergeKernel = byWidth(
  (types) => kernel`
  struct Params { C: u32, each: u32, chunks: u32, parts: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       sums: array<F>; // [2, chunks, C]
  @group(0) @binding(1) var<storage, read_write> out:  array<F>; // [2, parts, C]
  @group(0) @binding(2) var<uniform>             p:    Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn mergeSums(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= 2u * p.parts * p.C) { return; }
    let row = i / p.C;
    let which = row / p.parts;
    let begin = (row - which * p.parts) * p.each;
    let end = min(begin + p.each, p.chunks);
    var sum = F();
    for (var k = begin; k < end; k += 8u) {
      var parts = array<F, 8>(); // loaded together, then added in order
      for (var e = 0u; e < 8u; e++) {
        if (k + e < end) { parts[e] = sums[(which * p.chunks + k + e) * p.C + i % p.C]; }
      }
      for (var e = 0u; e < 8u; e++) { sum += parts[e]; }
    }
    out[i] = sum;
  }
`,
)

/** Sums [2, chunks, C] over at most 512 parts of the chunks: [2, parts, C]. */
export function mergedSums(run: Run, sums: Tensor): Tensor {
  const [chunks, C] = [dim(sums.shape, 1), dim(sums.shape, 2)]
  const each = Math.ceil(chunks / MAX_PARTS)
  if (each === 1) return sums
  const parts = Math.ceil(chunks / each)
  const width = C / widthOf(C)
  const [merged] = run(mergeKernel(C), {
    reads: [sums],
    makes: [[2, parts, C]],
    params: { C: width, each, chunks, parts },
    groups: elementwise(2 * parts * width),
  })
  return merged
}
