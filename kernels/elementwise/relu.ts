import { type Op, type Run, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { byStorage, storedPointwise } from '../wgsl/storage.ts'
import { rectification } from '../wgsl/finish.ts'

const forwardKernel = byStorage(
  (types) => kernel`
  struct Params { count: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       x: array<S>;
  @group(0) @binding(1) var<storage, read_write> y: array<S>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${rectification}
  @compute @workgroup_size(64)
  fn reluForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    y[i] = narrow(rectified(widen(x[i])));
  }
`,
)

// y shows where x was positive, so that x is not saved.
const backwardKernel = byStorage(
  (types) => kernel`
  struct Params { count: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       y:  array<S>;
  @group(0) @binding(1) var<storage, read>       dy: array<S>;
  @group(0) @binding(2) var<storage, read_write> dx: array<S>;
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${flatIndex}
  ${rectification}
  @compute @workgroup_size(64)
  fn reluBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    dx[i] = narrow(through(widen(y[i]), widen(dy[i])));
  }
`,
)

/** max(x, 0), stored as x is. */
export const reluForward = (run: Run, x: Tensor): Tensor => storedPointwise(run, forwardKernel, [x])

/** The gradient of x from y = relu(x) and dy, which are stored alike. */
export const reluBack = (run: Run, y: Tensor, dy: Tensor): Tensor =>
  storedPointwise(run, backwardKernel, [y, dy])

const reluOp: Op<[x: Tensor]> = {
  name: 'relu',
  accepts: ['float'],
  shape: (_, x) => x,
  forward: (run, _, x) => [reluForward(run, x)],
  backward: (run, _, [dy], _inputs, [y]) => [reluBack(run, y, dy)],
}

const applyRelu = op(reluOp)

/** max(x, 0), elementwise. The gradient at 0 is 0. NaN stays NaN. */
export const relu = (x: Tensor) => applyRelu({}, x)
