import {
  type Op,
  type Run,
  type Tensor,
  elementwise,
  flatIndex,
  kernel,
  op,
  sizeOf,
} from '../op.ts'
import { notANumber } from '../wgsl/nan.ts'
import { pointwise } from '../wgsl/pointwise.ts'

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
    // NaN stays NaN; max would hide it.
    y[i] = select(x[i], 0.0, x[i] < 0.0 && !notANumber(x[i]));
  }
`

// y shows where x was positive, so that x is not saved. NaN passes the gradient on, as in torch.
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

// For activations f16: saves one bit per element instead of y. Thread t of a block of 2,048 numbers
// takes every 64th of them from t on; its word holds their bits in order.
const markKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x:     array<f32>;
  @group(0) @binding(1) var<storage, read_write> y:     array<f32>;
  @group(0) @binding(2) var<storage, read_write> marks: array<u32>;
  @group(0) @binding(3) var<uniform>             p:     Params;
  ${flatIndex}
  ${notANumber}
  @compute @workgroup_size(64)
  fn reluMark(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let thread = flat(id, groups);
    let first = thread / 64u * 2048u + thread % 64u;
    if (first - thread % 64u >= p.count) { return; }
    var word = 0u;
    for (var k = 0u; k < 32u; k++) {
      let i = first + k * 64u;
      if (i < p.count) {
        let passes = x[i] > 0.0 || notANumber(x[i]);
        y[i] = select(0.0, x[i], passes);
        word |= u32(passes) << k;
      }
    }
    marks[thread] = word;
  }
`

const markedKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       dy:    array<f32>;
  @group(0) @binding(1) var<storage, read>       marks: array<u32>;
  @group(0) @binding(2) var<storage, read_write> dx:    array<f32>;
  @group(0) @binding(3) var<uniform>             p:     Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn reluMarked(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let word = marks[i / 2048u * 64u + i % 64u];
    dx[i] = select(0.0, dy[i], ((word >> (i % 2048u / 64u)) & 1u) == 1u);
  }
`

function marked(run: Run, x: Tensor): readonly [y: Tensor, marks: Tensor] {
  const count = sizeOf(x.shape)
  const threads = Math.ceil(count / 2048) * 64
  return run(markKernel, {
    reads: [x],
    makes: [x.shape, { shape: [threads], dtype: 'i32' }],
    params: { count },
    groups: elementwise(threads),
  })
}

const reluOp: Op<[x: Tensor], [y: Tensor, ...marks: [] | [Tensor]]> = {
  name: 'relu',
  shape: (_, x) => x,
  forward: (run, _, x) =>
    run.activations === 'f16' ? marked(run, x) : [pointwise(run, forwardKernel, [x])],
  backward: (run, _, [dy], _inputs, [y, marks]) => [
    marks ? pointwise(run, markedKernel, [dy, marks]) : pointwise(run, backwardKernel, [y, dy]),
  ],
}

const applyRelu = op(reluOp)

/** max(x, 0), elementwise. The gradient at 0 is 0. NaN stays NaN. */
export const relu = (x: Tensor) => applyRelu({}, x)
