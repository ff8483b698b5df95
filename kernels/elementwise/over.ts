// y = c / x for a plain number c, which travels as a parameter and needs no tensor.

import { type Op, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { pointwise } from '../wgsl/pointwise.ts'
import { quotient } from './quotient.ts'

const forwardKernel = kernel`
  struct Params { count: u32, c: f32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${quotient}
  @compute @workgroup_size(64)
  fn overForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = quotient(p.c, x[i]); }
  }
`

// dx = -dy y / x
const backwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x:  array<f32>;
  @group(0) @binding(1) var<storage, read>       y:  array<f32>;
  @group(0) @binding(2) var<storage, read>       dy: array<f32>;
  @group(0) @binding(3) var<storage, read_write> dx: array<f32>;
  @group(0) @binding(4) var<uniform>             p:  Params;
  ${flatIndex}
  ${quotient}
  @compute @workgroup_size(64)
  fn overBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { dx[i] = -divisorGradient(dy[i], x[i], y[i]); }
  }
`

const overOp: Op<[x: Tensor], [y: Tensor], { readonly c: number }> = {
  name: 'div',
  shape: (_, x) => x,
  forward: (run, { c }, x) => [pointwise(run, forwardKernel, [x], { c })],
  backward: (run, _, [dy], [x], [y]) => [pointwise(run, backwardKernel, [x, y, dy])],
}

const apply = op(overOp, 'b')

/** c / x, elementwise, for a number c. Throws RangeError for c beyond the range of f32. */
export function over(c: number, x: Tensor): Tensor {
  if (Number.isFinite(c) && !Number.isFinite(Math.fround(c)))
    throw new RangeError(`div: a must be a number within the range of f32, 3.4e38, got ${c}`)
  return apply({ c }, x)
}
