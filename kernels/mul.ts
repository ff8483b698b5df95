import { type Op, type Tensor, flatIndex, kernel, op } from './op.ts'
import { affine } from './affine.ts'
import { broadcastIndex, broadcastShape, combine, sumTo } from './broadcast.ts'

/** Exported for ops whose gradient is a product. */
export const mulKernel = kernel`
  @group(0) @binding(0) var<storage, read>       a:   array<f32>;
  @group(0) @binding(1) var<storage, read>       b:   array<f32>;
  @group(0) @binding(2) var<storage, read_write> out: array<f32>;
  @group(0) @binding(3) var<uniform>             p:   Params;
  ${flatIndex}
  ${broadcastIndex}
  @compute @workgroup_size(64)
  fn mul(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { out[i] = a[indexA(i)] * b[indexB(i)]; }
  }
`

const mulOp: Op<[a: Tensor, b: Tensor]> = {
  name: 'mul',
  shape: (_, a, b) => broadcastShape('mul', a, b),
  forward: (run, _, a, b) => [combine(run, mulKernel, a, b)],
  backward: (run, _, [dy], [a, b], _outputs, [needsA, needsB]) => [
    needsA ? sumTo(run, combine(run, mulKernel, dy, b), a.shape) : null,
    needsB ? sumTo(run, combine(run, mulKernel, dy, a), b.shape) : null,
  ],
}

const applyMul = op(mulOp)

/** a b, elementwise, broadcasting as numpy does; b may be a number. Throws ShapeError. */
export const mul = (a: Tensor, b: Tensor | number): Tensor =>
  typeof b === 'number' ? affine(a, b, 0) : applyMul({}, a, b)
