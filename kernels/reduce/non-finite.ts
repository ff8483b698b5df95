// Counts the NaN and the infinities of a tensor, and finds the first of them. The bits decide,
// since a compiler may assume that floats are finite.

import { type Run, type Tensor, type Variable, kernel, sizeOf } from '../op.ts'
import { MAX_GROUPS_PER_DIM } from '../limits.ts'

/** Words of a count: NaN, infinities, and the size less the place of the first NaN, of the first
 *  infinity; 0 where there is none. */
export const COUNT_WORDS = 4

const countKernel = kernel`
  struct Params { words: u32, slot: u32, halves: u32 }
  @group(0) @binding(0) var<storage, read>       x:     array<u32>; // f32, or two f16 each
  @group(0) @binding(1) var<storage, read_write> found: array<atomic<u32>>;
  @group(0) @binding(2) var<uniform>             p:     Params;

  fn note(i: u32, size: u32, magnitude: u32, infinite: u32) {
    if (magnitude < infinite) { return; }
    let kind = select(0u, 1u, magnitude == infinite);
    atomicAdd(&found[p.slot + kind], 1u);
    atomicMax(&found[p.slot + 2u + kind], size - i);
  }

  @compute @workgroup_size(64)
  fn countNonFinite(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    for (var i = id.x; i < p.words; i += groups.x * 64u) {
      let bits = x[i];
      if (p.halves == 0u) {
        note(i, p.words, bits & 0x7fffffffu, 0x7f800000u);
      } else {
        note(2u * i, 2u * p.words, bits & 0x7fffu, 0x7c00u);
        note(2u * i + 1u, 2u * p.words, (bits >> 16u) & 0x7fffu, 0x7c00u);
      }
    }
  }
`

/** Adds the count of x, f32 or f16, to the words of `found` from `slot` on. Their bits are unsigned
 *  integers. */
export function countNonFinite(run: Run, x: Tensor, found: Variable, slot: number) {
  const halves = x.dtype === 'f16'
  const words = sizeOf(x.shape) / (halves ? 2 : 1)
  run(countKernel, {
    reads: [x],
    updates: [found],
    params: { words, slot, halves: Number(halves) },
    groups: [Math.min(Math.ceil(words / 64), MAX_GROUPS_PER_DIM)],
  })
}
