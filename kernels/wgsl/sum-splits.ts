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

const sumKernel = kernel`
  struct Params { count: u32, splits: u32 }
  @group(0) @binding(0) var<storage, read>       partial: array<f32>; // [splits, count]
  @group(0) @binding(1) var<storage, read_write> out:     array<f32>; // [count]
  @group(0) @binding(2) var<uniform>             p:       Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn sumSplits(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    var sum = 0.0;
    for (var split = 0u; split < p.splits; split++) { sum += partial[split * p.count + i]; }
    out[i] = sum;
  }
`

/** The sum of partial sums [splits, ...out] -> out; a view of it where there is only one. */
export function sumSplits(run: Run, partial: Tensor, out: Shape): Tensor {
  const splits = dim(partial.shape, 0)
  if (splits === 1) return run.view(partial, out)
  const count = sizeOf(out)
  const params = { count, splits }
  const [sum] = run(sumKernel, {
    reads: [partial],
    makes: [out],
    params,
    groups: elementwise(count),
  })
  return sum
}
