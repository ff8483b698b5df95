// The skeleton of maximum and minimum.

import { type Op, type Tensor, type Wgsl, flatIndex, kernel, wgsl } from '../op.ts'
import { broadcastIndex, broadcastShape, combine, sumTo } from '../wgsl/broadcast.ts'
import { notANumber } from '../wgsl/nan.ts'
import { binaryKernel } from './binary.ts'

/** WGSL of `wins(a, b)`, whether a is the result of a and b without NaN, and of `share(a, b)`, what
 *  part of the gradient a gets: half where a equals b, and all where either is NaN, as in torch. */
const comparison = (beats: Wgsl) => wgsl`
  ${notANumber}
  fn wins(a: f32, b: f32) -> bool { return a ${beats} b; }
  fn extremum(a: f32, b: f32) -> f32 {
    if (notANumber(a) || notANumber(b)) { return a + b; }
    return select(b, a, wins(a, b));
  }
  fn share(a: f32, b: f32) -> f32 {
    if (notANumber(a) || notANumber(b)) { return 1.0; }
    return select(select(0.0, 1.0, wins(a, b)), 0.5, a == b);
  }
`

/** A kernel that gives an operand its share of dy, an expression of `a` and `b`. */
const gradientKernel = (name: string, uses: Wgsl, share: Wgsl) => kernel`
  @group(0) @binding(0) var<storage, read>       a:   array<f32>;
  @group(0) @binding(1) var<storage, read>       b:   array<f32>;
  @group(0) @binding(2) var<storage, read>       dy:  array<f32>;
  @group(0) @binding(3) var<storage, read_write> out: array<f32>;
  @group(0) @binding(4) var<uniform>             p:   Params;
  ${flatIndex}
  ${broadcastIndex}
  ${uses}
  @compute @workgroup_size(64)
  fn ${name as Wgsl}Gradient(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { out[i] = dy[i] * ${share}; }
  }
`

/** Makes the op of an operator, `>` or `<`. */
export function extremumOp(name: string, beats: Wgsl): Op<[a: Tensor, b: Tensor]> {
  const uses = comparison(beats)
  const forward = binaryKernel(name, wgsl`extremum(a[indexA(i)], b[indexB(i)])`, uses)
  const toA = gradientKernel(name, uses, wgsl`share(a[indexA(i)], b[indexB(i)])`)
  const toB = gradientKernel(name, uses, wgsl`share(b[indexB(i)], a[indexA(i)])`)
  return {
    name,
    shape: (_, a, b) => broadcastShape(name, a, b),
    forward: (run, _, a, b) => [combine(run, forward, a, b)],
    backward: (run, _, [dy], [a, b], _outputs, [needsA, needsB]) => [
      needsA ? sumTo(run, combine(run, toA, a, b, [dy]), a.shape) : null,
      needsB ? sumTo(run, combine(run, toB, a, b, [dy]), b.shape) : null,
    ],
  }
}
