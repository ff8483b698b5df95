// Split-K's second half: adds the partial sums of several workgroups in a fixed order, so that two
// runs give the same bits.

import {
  type Run,
  type Shape,
  type Tensor,
  dim,
  elementwise,
  flatIndex,
  kernel,
  sizeOf,
} from '../op.ts'
import { byWidth, widthOf } from './widths.ts'

// Eight loads are under way at a time: a compiler does not unroll a loop to a number that it does
// not know, and would wait for each.
const sumKernel = byWidth(
  (types) => kernel`
  struct Params { count: u32, splits: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       partial: array<F>; // [splits, count]
  @group(0) @binding(1) var<storage, read_write> out:     array<F>; // [count]
  @group(0) @binding(2) var<uniform>             p:       Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn sumSplits(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    var sum = F();
    for (var eight = 0u; eight < (p.splits + 7u) / 8u; eight++) {
      var parts = array<F, 8>();
      for (var e = 0u; e < 8u; e++) {
        let split = eight * 8u + e;
        if (split < p.splits) { parts[e] = partial[split * p.count + i]; }
      }
      for (var e = 0u; e < 8u; e++) { sum += parts[e]; }
    }
    out[i] = sum;
  }
`,
)

/** The sum of partial sums [splits, ...out] -> out; a view of it where there is only one. */
export function sumSplits(run: Run, partial: Tensor, out: Shape): Tensor {
  const splits = dim(partial.shape, 0)
  if (splits === 1) return run.view(partial, out)
  const size = sizeOf(out)
  const count = size / widthOf(size)
  const [sum] = run(sumKernel(size), {
    reads: [partial],
    makes: [out],
    params: { count, splits },
    groups: elementwise(count),
  })
  return sum
}
