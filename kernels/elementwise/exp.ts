import { type Op, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { combine } from '../wgsl/broadcast.ts'
import { mulKernel } from './mul.ts'
import { pointwise } from '../wgsl/pointwise.ts'

const forwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn expForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = exp(x[i]); }
  }
`

const expOp: Op<[x: Tensor]> = {
  name: 'exp',
  shape: (_, x) => x,
  forward: (run, _, x) => [pointwise(run, forwardKernel, [x])],
  backward: (run, _, [dy], _inputs, [y]) => [combine(run, mulKernel, dy, y)],
}

const applyExp = op(expOp)

/** exp(x), elementwise. */
export const exp = (x: Tensor) => applyExp({}, x)
