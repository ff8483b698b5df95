import { type Op, type Tensor, flatIndex, kernel, op } from './op.ts'
import { affineAs } from './affine.ts'
import { broadcastIndex, broadcastShape, combine, sumTo } from './broadcast.ts'
import { mulKernel } from './mul.ts'
import { over } from './over.ts'

/** Exported for ops whose gradient is a quotient. */
export const divKernel = kernel`
  @group(0) @binding(0) var<storage, read>       a:   array<f32>;
  @group(0) @binding(1) var<storage, read>       b:   array<f32>;
  @group(0) @binding(2) var<storage, read_write> out: array<f32>;
  @group(0) @binding(3) var<uniform>             p:   Params;
  ${flatIndex}
  ${broadcastIndex}
  @compute @workgroup_size(64)
  fn div(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { out[i] = a[indexA(i)] / b[indexB(i)]; }
  }
`

// y = a / b.  da = dy / b,  db = -dy y / b
const divOp: Op<[a: Tensor, b: Tensor]> = {
  name: 'div',
  shape: (_, a, b) => broadcastShape('div', a, b),
  forward: (run, _, a, b) => [combine(run, divKernel, a, b)],
  backward(run, _, [dy], [a, b], [y], [needsA, needsB]) {
    const da = combine(run, divKernel, dy, b)
    return [
      needsA ? sumTo(run, da, a.shape) : null,
      needsB ? sumTo(run, combine(run, mulKernel, da, y), b.shape, -1) : null,
    ]
  },
}

const applyDiv = op(divOp, 'a', 'b')

const withNumber = affineAs('div', 'a')

/** a / b, elementwise, broadcasting as numpy does; either may be a number, and the reciprocal of
 *  a number b is what is multiplied. Throws ShapeError. */
export function div(a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof b === 'number') return withNumber(a as Tensor, 1 / b, 0) // told where both are numbers
  return typeof a === 'number' ? over(a, b) : applyDiv({}, a, b)
}
