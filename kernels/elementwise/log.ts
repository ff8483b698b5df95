import { type Op, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { combine } from '../wgsl/broadcast.ts'
import { divKernel } from './div.ts'
import { enlarged, pointwise } from '../wgsl/pointwise.ts'

const forwardKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${enlarged}
  fn logOf(x: f32) -> f32 {
    if (isSubnormal(x)) { return log(enlarged(x)) - 44.3614196; } // 64 log 2
    return log(x);
  }
  @compute @workgroup_size(64)
  fn logForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = logOf(x[i]); }
  }
`

const logOp: Op<[x: Tensor]> = {
  name: 'log',
  shape: (_, x) => x,
  forward: (run, _, x) => [pointwise(run, forwardKernel, [x])],
  backward: (run, _, [dy], [x]) => [combine(run, divKernel, dy, x)],
}

const applyLog = op(logOp)

/** The natural logarithm of x, elementwise. Close to 1, WGSL's logarithm is good to 5e-7 absolutely. */
export const log = (x: Tensor) => applyLog({}, x)
