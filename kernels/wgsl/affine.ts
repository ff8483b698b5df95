// y = scale x + shift for two numbers, or functions that return the step's, which are passed as
// Params and need no tensor.

import { type Op, type Run, type Scalar, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { pointwise } from './pointwise.ts'

const affineKernel = kernel`
  struct Params { count: u32, scale: f32, shift: f32 }
  @group(0) @binding(0) var<storage, read>       x:   array<f32>;
  @group(0) @binding(1) var<storage, read_write> y:   array<f32>;
  @group(0) @binding(2) var<uniform>             p:   Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn affine(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = p.scale * x[i] + p.shift; }
  }
`

/** x times a number, for use inside ops; x itself for 1. */
export const scaled = (run: Run, x: Tensor, scale: Scalar): Tensor =>
  scale === 1 ? x : pointwise(run, affineKernel, [x], { scale, shift: 0 })

interface Attrs {
  readonly scale: Scalar
  readonly shift: Scalar
}

const affineOp: Op<[x: Tensor], [y: Tensor], Attrs> = {
  name: 'affine',
  shape: (_, x) => x,
  forward: (run, attrs, x) => [pointwise(run, affineKernel, [x], { ...attrs })],
  backward: (run, { scale }, [dy]) => [scaled(run, dy, scale)],
}

const applyAffine = op(affineOp)

/** scale x + shift, elementwise, for two numbers, or functions that return those of the step. */
export const affine = (x: Tensor, scale: Scalar, shift: Scalar) => applyAffine({ scale, shift }, x)

/** `affine` under the name of another op. Messages call its input `input`. */
export const affineAs = (name: string, input: string) => {
  const apply = op({ ...affineOp, name }, input)
  return (x: Tensor, scale: number, shift: number) => apply({ scale, shift }, x)
}
