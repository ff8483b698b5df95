// Adds two gradients of a tensor that was used more than once.

import {
  type Run,
  type Tensor,
  ShapeError,
  elementwise,
  flatIndex,
  kernel,
  show,
  sizeOf,
} from '../op.ts'
import { byWidth, widthOf } from '../wgsl/widths.ts'

const accumulateKernel = byWidth(
  (types) => kernel`
  struct Params { count: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       a:   array<F>;
  @group(0) @binding(1) var<storage, read>       b:   array<F>;
  @group(0) @binding(2) var<storage, read_write> out: array<F>;
  @group(0) @binding(3) var<uniform>             p:   Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn accumulate(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { out[i] = a[i] + b[i]; }
  }
`,
)

/** a + b, of one shape. Throws ShapeError for different shapes. */
export function accumulate(run: Run, a: Tensor, b: Tensor): Tensor {
  if (a.shape.join() !== b.shape.join())
    throw new ShapeError(
      `backward: gradients of one tensor differ in shape, ${show(a.shape)} and ${show(b.shape)}`,
    )
  const size = sizeOf(a.shape)
  const count = size / widthOf(size)
  const [out] = run(accumulateKernel(size), {
    reads: [a, b],
    makes: [a.shape],
    params: { count },
    groups: elementwise(count),
  })
  return out
}
