import { type Op, type Tensor, flatIndex, kernel, op } from './op.ts'
import { notANumber, pointwise } from './pointwise.ts'

const forwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${notANumber}
  @compute @workgroup_size(64)
  fn reluForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    y[i] = select(x[i], 0.0, x[i] < 0.0 && !notANumber(x[i])); // NaN stays NaN, which max would hide
  }
`

// y tells where x was positive, so that x need not be kept. NaN hands the gradient on, as in torch.
const backwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       y:  array<f32>;
  @group(0) @binding(1) var<storage, read>       dy: array<f32>;
  @group(0) @binding(2) var<storage, read_write> dx: array<f32>;
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${flatIndex}
  ${notANumber}
  @compute @workgroup_size(64)
  fn reluBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { dx[i] = select(0.0, dy[i], y[i] > 0.0 || notANumber(y[i])); }
  }
`

const reluOp: Op<[x: Tensor]> = {
  name: 'relu',
  shape: (_, x) => x,
  forward: (run, _, x) => [pointwise(run, forwardKernel, [x])],
  backward: (run, _, [dy], _inputs, [y]) => [pointwise(run, backwardKernel, [y, dy])],
}

const applyRelu = op(reluOp)

/** max(x, 0), elementwise. The gradient at 0 is 0. NaN stays NaN. */
export const relu = (x: Tensor) => applyRelu({}, x)
