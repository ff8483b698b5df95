import { type Op, type Tensor, flatIndex, kernel, op, wgsl } from '../op.ts'
import { affineAs } from '../wgsl/affine.ts'
import { broadcastIndex, broadcastShape, combine, sumTo } from '../wgsl/broadcast.ts'
import { pointwise } from '../wgsl/pointwise.ts'
import { binaryKernel, checkNumbers } from './binary.ts'
import { over } from './over.ts'
import { quotient } from './quotient.ts'

/** Exported for ops whose gradient is a quotient. */
export const divKernel = binaryKernel('div', wgsl`quotient(a[indexA(i)], b[indexB(i)])`, quotient)

// dy / b times y, or, where that quotient is no normal f32, dy times y / b
const divisorKernel = kernel`
  @group(0) @binding(0) var<storage, read>       a:   array<f32>; // dy
  @group(0) @binding(1) var<storage, read>       b:   array<f32>;
  @group(0) @binding(2) var<storage, read>       y:   array<f32>;
  @group(0) @binding(3) var<storage, read_write> out: array<f32>;
  @group(0) @binding(4) var<uniform>             p:   Params;
  ${flatIndex}
  ${broadcastIndex}
  ${quotient}
  @compute @workgroup_size(64)
  fn divDivisor(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { out[i] = divisorGradient(a[indexA(i)], b[indexB(i)], y[i]); }
  }
`

// y = a / b.  da = dy / b,  db = -dy y / b
const divOp: Op<[a: Tensor, b: Tensor]> = {
  name: 'div',
  shape: (_, a, b) => broadcastShape('div', a, b),
  forward: (run, _, a, b) => [combine(run, divKernel, a, b)],
  backward: (run, _, [dy], [a, b], [y], [needsA, needsB]) => [
    needsA ? sumTo(run, combine(run, divKernel, dy, b), a.shape) : null,
    needsB ? sumTo(run, combine(run, divisorKernel, dy, b, [y]), b.shape, -1) : null,
  ],
}

const numberKernel = kernel`
  struct Params { count: u32, by: f32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${quotient}
  @compute @workgroup_size(64)
  fn divNumber(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = quotient(x[i], p.by); }
  }
`

const divNumberOp: Op<[x: Tensor], [y: Tensor], { by: number }> = {
  name: 'div',
  shape: (_, x) => x,
  forward: (run, { by }, x) => [pointwise(run, numberKernel, [x], { by })],
  backward: (run, { by }, [dy]) => [pointwise(run, numberKernel, [dy], { by })],
}

const applyDiv = op(divOp, 'a', 'b')
const applyDivNumber = op(divNumberOp, 'a')
const times = affineAs('div', 'a')

/** a / b, elementwise, broadcasting as numpy does. Either may be a number. A number b whose
 *  reciprocal is a normal f32 is multiplied by as that reciprocal; subnormal and huge b are divided
 *  by precisely; b beyond the range of f32 counts as infinite, as in torch. A quotient below 2^-126
 *  may become 0. Throws ShapeError, TypeError for the number NaN, and RangeError for a number a
 *  beyond the range of f32. */
export function div(a: Tensor | number, b: Tensor | number): Tensor {
  checkNumbers('div', { a, b })
  if (typeof b !== 'number') return typeof a === 'number' ? over(a, b) : applyDiv({}, a, b)
  const by = Number.isFinite(Math.fround(b)) ? b : Math.fround(b)
  const size = Math.abs(1 / by)
  const isNormal = size >= 2 ** -126 && size < 2 ** 127
  const x = a as Tensor // told where both are numbers
  if (!isNormal && Number.isFinite(by) && by !== 0) return applyDivNumber({ by }, x)
  return times(x, 1 / by, -0) // adding -0 keeps the sign of a zero
}
