// The skeleton of an op of one tensor, element by element: y = f(x). Four elements are read at a
// time where their number is a multiple of four.

import { type Run, type Tensor, type Wgsl, flatIndex, kernel, op, sizeOf, wgsl } from '../op.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { byWidth, widthOf } from '../wgsl/widths.ts'

/** A WGSL expression of an element, and the functions that it calls. */
interface Formula {
  readonly is: Wgsl
  readonly uses?: Wgsl
}

interface Unary {
  readonly name: string
  /** Computes y of `x`. */
  readonly y: Formula
  /** Computes dx of `dy` and of `x` or `y`, as `from` says; or runs kernels of its own. */
  readonly dx:
    | (Formula & { readonly from: 'x' | 'y' })
    | ((run: Run, dy: Tensor, x: Tensor, y: Tensor) => Tensor)
}

const none = wgsl``

/** A value of type F, of one number or of four: `call` takes the component of its arguments. */
const ofEach = (width: number, call: (component: Wgsl) => Wgsl): Wgsl =>
  width === 1
    ? call(none)
    : wgsl`F(${call(wgsl`.x`)}, ${call(wgsl`.y`)}, ${call(wgsl`.z`)}, ${call(wgsl`.w`)})`

const forwardKernel = (name: Wgsl, { is, uses = none }: Formula) =>
  byWidth(
    (types, width) => kernel`
  struct Params { count: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       x: array<F>;
  @group(0) @binding(1) var<storage, read_write> y: array<F>;
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${uses}
  fn value(x: f32) -> f32 { return ${is}; }
  @compute @workgroup_size(64)
  fn ${name}Forward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let own = x[i];
    y[i] = ${ofEach(width, (component) => wgsl`value(own${component})`)};
  }
`,
  )

const backwardKernel = (name: Wgsl, saved: Wgsl, { is, uses = none }: Formula) =>
  byWidth(
    (types, width) => kernel`
  struct Params { count: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       ${saved}: array<F>;
  @group(0) @binding(1) var<storage, read>       dy: array<F>;
  @group(0) @binding(2) var<storage, read_write> dx: array<F>;
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${flatIndex}
  ${uses}
  fn gradient(${saved}: f32, dy: f32) -> f32 { return ${is}; }
  @compute @workgroup_size(64)
  fn ${name}Backward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let own = ${saved}[i];
    let given = dy[i];
    dx[i] = ${ofEach(width, (component) => wgsl`gradient(own${component}, given${component})`)};
  }
`,
  )

type Pointwise = ReturnType<typeof byWidth>

/** Runs a kernel over tensors of one shape. */
function overEach(run: Run, program: Pointwise, reads: readonly [Tensor, ...Tensor[]]): Tensor {
  const [{ shape }] = reads
  const count = sizeOf(shape)
  return perElement(run, program(count), shape, { reads, width: widthOf(count) })
}

function backwardOf(name: Wgsl, dx: Unary['dx']): Exclude<Unary['dx'], Formula> {
  if (typeof dx === 'function') return dx
  const program = backwardKernel(name, dx.from as Wgsl, dx) // 'x' and 'y' are WGSL
  return (run, dy, x, y) => overEach(run, program, [dx.from === 'x' ? x : y, dy])
}

/** Makes the op from its formulas. Its kernels are called `nameForward` and `nameBackward`. */
export function unary({ name, y: formula, dx }: Unary): (x: Tensor) => Tensor {
  const forward = forwardKernel(name as Wgsl, formula) // a name is WGSL
  const backward = backwardOf(name as Wgsl, dx)
  const apply = op<[x: Tensor]>({
    name,
    shape: (_, x) => x,
    forward: (run, _, x) => [overEach(run, forward, [x])],
    backward: (run, _, [dy], [x], [y]) => [backward(run, dy, x, y)],
  })
  return (x) => apply({}, x)
}
