import { type Op, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { log1pUnit, pointwise } from '../wgsl/pointwise.ts'
import { logistic } from './sigmoid.ts'

// log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), which never overflows. Above 20 the second term is less
// than half a unit in the last place of x, where torch too returns x itself.
const forwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${log1pUnit}
  @compute @workgroup_size(64)
  fn softplusForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = max(x[i], 0.0) + log1pUnit(exp(-abs(x[i]))); }
  }
`

const backwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x:  array<f32>;
  @group(0) @binding(1) var<storage, read>       dy: array<f32>;
  @group(0) @binding(2) var<storage, read_write> dx: array<f32>;
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${flatIndex}
  ${logistic}
  @compute @workgroup_size(64)
  fn softplusBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { dx[i] = dy[i] * logistic(x[i]); }
  }
`

const softplusOp: Op<[x: Tensor]> = {
  name: 'softplus',
  shape: (_, x) => x,
  forward: (run, _, x) => [pointwise(run, forwardKernel, [x])],
  backward: (run, _, [dy], [x]) => [pointwise(run, backwardKernel, [x, dy])],
}

const applySoftplus = op(softplusOp)

/** log(1 + exp(x)), elementwise, to f32 accuracy also where it is tiny. */
export const softplus = (x: Tensor) => applySoftplus({}, x)
