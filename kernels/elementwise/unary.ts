// The skeleton of an op of one tensor, element by element: y = f(x).

import { type Run, type Tensor, type Wgsl, flatIndex, kernel, op, wgsl } from '../op.ts'
import { pointwise } from '../wgsl/pointwise.ts'

/** A WGSL expression of element i, and the functions that it calls. */
interface Formula {
  readonly is: Wgsl
  readonly uses?: Wgsl
}

interface Unary {
  readonly name: string
  /** Computes y of `x[i]`. */
  readonly y: Formula
  /** Computes dx of `dy[i]` and of `x[i]` or `y[i]`, as `from` says; or runs kernels of its own. */
  readonly dx:
    | (Formula & { readonly from: 'x' | 'y' })
    | ((run: Run, dy: Tensor, x: Tensor, y: Tensor) => Tensor)
}

const none = wgsl``

function forwardKernel(name: Wgsl, { is, uses = none }: Formula) {
  return kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f32>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${uses}
  @compute @workgroup_size(64)
  fn ${name}Forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = ${is}; }
  }
`
}

function backwardKernel(name: Wgsl, from: Wgsl, { is, uses = none }: Formula) {
  return kernel`
  struct Params { count: u32 }
  @group(0) @binding(0) var<storage, read>       ${from}:  array<f32>;
  @group(0) @binding(1) var<storage, read>       dy: array<f32>;
  @group(0) @binding(2) var<storage, read_write> dx: array<f32>;
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${flatIndex}
  ${uses}
  @compute @workgroup_size(64)
  fn ${name}Backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { dx[i] = ${is}; }
  }
`
}

function backwardOf(name: Wgsl, dx: Unary['dx']): Exclude<Unary['dx'], Formula> {
  if (typeof dx === 'function') return dx
  const program = backwardKernel(name, dx.from as Wgsl, dx) // 'x' and 'y' are WGSL
  return (run, dy, x, y) => pointwise(run, program, [dx.from === 'x' ? x : y, dy])
}

/** Makes the op from its formulas. Its kernels are called `nameForward` and `nameBackward`. */
export function unary({ name, y: formula, dx }: Unary): (x: Tensor) => Tensor {
  const forward = forwardKernel(name as Wgsl, formula) // a name is WGSL
  const backward = backwardOf(name as Wgsl, dx)
  const apply = op<[x: Tensor]>({
    name,
    shape: (_, x) => x,
    forward: (run, _, x) => [pointwise(run, forward, [x])],
    backward: (run, _, [dy], [x], [y]) => [backward(run, dy, x, y)],
  })
  return (x) => apply({}, x)
}
