import { type Op, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { enlarged, pointwise } from '../wgsl/pointwise.ts'

const forwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${enlarged}
  fn sqrtOf(x: f32) -> f32 {
    if (isSubnormal(x)) { return sqrt(enlarged(x)) * 0x1p-32f; }
    return sqrt(x);
  }
  @compute @workgroup_size(64)
  fn sqrtForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = sqrtOf(x[i]); }
  }
`

const backwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       y:  array<f32>;
  @group(0) @binding(1) var<storage, read>       dy: array<f32>;
  @group(0) @binding(2) var<storage, read_write> dx: array<f32>;
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn sqrtBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { dx[i] = 0.5 * dy[i] / y[i]; }
  }
`

const sqrtOp: Op<[x: Tensor]> = {
  name: 'sqrt',
  shape: (_, x) => x,
  forward: (run, _, x) => [pointwise(run, forwardKernel, [x])],
  backward: (run, _, [dy], _inputs, [y]) => [pointwise(run, backwardKernel, [y, dy])],
}

const applySqrt = op(sqrtOp)

/** The square root of x, elementwise. Its gradient at 0 is infinite. */
export const sqrt = (x: Tensor) => applySqrt({}, x)
