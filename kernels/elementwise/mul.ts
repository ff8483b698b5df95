import { type Op, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { affineAs } from '../wgsl/affine.ts'
import { broadcastIndex, broadcastShape, combine, sumTo } from '../wgsl/broadcast.ts'

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

const applyMul = op(mulOp, 'a', 'b')

const withNumber = affineAs('mul', 'a')
const ofNumber = affineAs('mul', 'b')

/** a b, elementwise, broadcasting as numpy does; either may be a number. Throws ShapeError. */
export function mul(a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof b === 'number') return withNumber(a as Tensor, b, 0) // told where both are numbers
  return typeof a === 'number' ? ofNumber(b, a, 0) : applyMul({}, a, b)
}
