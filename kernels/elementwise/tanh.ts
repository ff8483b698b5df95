import { type Op, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { pointwise, preciseTanh } from '../wgsl/pointwise.ts'

const forwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${preciseTanh}
  @compute @workgroup_size(64)
  fn tanhForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = preciseTanh(x[i]); }
  }
`

// dx = dy (1 - y²) = dy (1 - y) (1 + y)
const backwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       y:  array<f32>;
  @group(0) @binding(1) var<storage, read>       dy: array<f32>;
  @group(0) @binding(2) var<storage, read_write> dx: array<f32>;
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn tanhBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { dx[i] = dy[i] * (1.0 - y[i]) * (1.0 + y[i]); }
  }
`

const tanhOp: Op<[x: Tensor]> = {
  name: 'tanh',
  shape: (_, x) => x,
  forward: (run, _, x) => [pointwise(run, forwardKernel, [x])],
  backward: (run, _, [dy], _inputs, [y]) => [pointwise(run, backwardKernel, [y, dy])],
}

const applyTanh = op(tanhOp)

/** tanh(x), elementwise, to f32 accuracy; saturates at +-1 for any size of x. NaN stays NaN. */
export const tanh = (x: Tensor) => applyTanh({}, x)
