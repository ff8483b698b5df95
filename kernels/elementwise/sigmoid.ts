import { type Op, type Tensor, flatIndex, kernel, op, wgsl } from '../op.ts'
import { pointwise } from '../wgsl/pointwise.ts'

/** `logistic(x)`: 1 / (1 + exp(-x)), without overflow and without losing digits where it is small. */
export const logistic = wgsl`
  fn logistic(x: f32) -> f32 {
    let e = exp(-abs(x));
    return select(e, 1.0, x >= 0.0) / (1.0 + e);
  }
`

const forwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${logistic}
  @compute @workgroup_size(64)
  fn sigmoidForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = logistic(x[i]); }
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
  fn sigmoidBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { dx[i] = dy[i] * y[i] * (1.0 - y[i]); }
  }
`

const sigmoidOp: Op<[x: Tensor]> = {
  name: 'sigmoid',
  shape: (_, x) => x,
  forward: (run, _, x) => [pointwise(run, forwardKernel, [x])],
  backward: (run, _, [dy], _inputs, [y]) => [pointwise(run, backwardKernel, [y, dy])],
}

const applySigmoid = op(sigmoidOp)

/** 1 / (1 + exp(-x)), elementwise. */
export const sigmoid = (x: Tensor) => applySigmoid({}, x)
