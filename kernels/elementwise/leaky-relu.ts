import { type Op, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { pointwise } from '../wgsl/pointwise.ts'
import { checkValue, number } from '../options.ts'

const forwardKernel = kernel`
  struct Params { count: u32, slope: f32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn leakyReluForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = select(p.slope * x[i], x[i], x[i] > 0.0); }
  }
`

const backwardKernel = kernel`
  struct Params { count: u32, slope: f32 }
  @group(0) @binding(0) var<storage, read>       x:  array<f32>;
  @group(0) @binding(1) var<storage, read>       dy: array<f32>;
  @group(0) @binding(2) var<storage, read_write> dx: array<f32>;
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn leakyReluBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { dx[i] = select(p.slope * dy[i], dy[i], x[i] > 0.0); }
  }
`

const leakyReluOp: Op<[x: Tensor], [Tensor], { slope: number }> = {
  name: 'leakyRelu',
  shape: (_, x) => x,
  forward: (run, { slope }, x) => [pointwise(run, forwardKernel, [x], { slope })],
  backward: (run, { slope }, [dy], [x]) => [pointwise(run, backwardKernel, [x, dy], { slope })],
}

const applyLeakyRelu = op(leakyReluOp)

/** x where x > 0, else slope x. The gradient at 0 is the slope. */
export const leakyRelu = (x: Tensor, slope = 0.01) =>
  applyLeakyRelu({ slope: checkValue('leakyRelu', 'slope', slope, number) }, x)
