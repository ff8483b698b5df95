import { type Op, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { affineAs } from '../wgsl/affine.ts'
import { broadcastIndex, broadcastShape, combine, sumTo } from '../wgsl/broadcast.ts'

const addKernel = kernel`
  @group(0) @binding(0) var<storage, read>       a:   array<f32>;
  @group(0) @binding(1) var<storage, read>       b:   array<f32>;
  @group(0) @binding(2) var<storage, read_write> out: array<f32>;
  @group(0) @binding(3) var<uniform>             p:   Params;
  ${flatIndex}
  ${broadcastIndex}
  @compute @workgroup_size(64)
  fn add(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { out[i] = a[indexA(i)] + b[indexB(i)]; }
  }
`

/** Exported so that its shape rule can be tested without a GPU. */
export const addOp: Op<[a: Tensor, b: Tensor]> = {
  name: 'add',
  shape: (_, a, b) => broadcastShape('add', a, b),
  forward: (run, _, a, b) => [combine(run, addKernel, a, b)],
  backward: (run, _, [dy], [a, b], _outputs, [needsA, needsB]) => [
    needsA ? sumTo(run, dy, a.shape) : null,
    needsB ? sumTo(run, dy, b.shape) : null,
  ],
}

const applyAdd = op(addOp, 'a', 'b')

const withNumber = affineAs('add', 'a')
const ofNumber = affineAs('add', 'b')

/** a + b, elementwise, broadcasting as numpy does; either may be a number. Throws ShapeError. */
export function add(a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof b === 'number') return withNumber(a as Tensor, 1, b) // told where both are numbers
  return typeof a === 'number' ? ofNumber(b, 1, a) : applyAdd({}, a, b)
}
