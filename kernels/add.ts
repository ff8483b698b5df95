import { type Op, type Tensor, ShapeError, elementwise, flatIndex, kernel, op, show, sizeOf } from './op.ts'

const addKernel = kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       a:   array<f32>;
  @group(0) @binding(1) var<storage, read>       b:   array<f32>;
  @group(0) @binding(2) var<storage, read_write> out: array<f32>;
  @group(0) @binding(3) var<uniform>             p:   Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn add(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { out[i] = a[i] + b[i]; }
  }
`

/** Exported for the engine, which accumulates gradients with it. */
export const addOp: Op<[a: Tensor, b: Tensor]> = {
  name: 'add',
  shape(_, a, b) {
    if (a.join() !== b.join()) throw new ShapeError(`add: shapes differ, ${show(a)} and ${show(b)}`)
    return a
  },
  forward(run, _, a, b) {
    const count = sizeOf(a.shape)
    return run(addKernel, { reads: [a, b], makes: [a.shape], params: { count }, groups: elementwise(count) })
  },
  backward: (_run, _attrs, [dy]) => [dy, dy],
}

const applyAdd = op(addOp)

/** Elementwise sum of two tensors of one shape. Throws ShapeError. */
export const add = (a: Tensor, b: Tensor) => applyAdd({}, a, b)
