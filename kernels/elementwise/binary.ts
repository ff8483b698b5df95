// The skeleton of an op of two tensors that broadcast, element by element: y = f(a, b).

import { type Op, type Run, type Tensor, type Wgsl, flatIndex, kernel, op, wgsl } from '../op.ts'
import { checkValue, rule } from '../options.ts'
import { affineAs } from '../wgsl/affine.ts'
import { broadcastIndex, broadcastShape, combine, sumTo } from '../wgsl/broadcast.ts'

/** A kernel named `name` that computes `y`, an expression of `a[indexA(i)]` and `b[indexB(i)]`, for
 *  `combine`. `uses`: the functions that y calls. */
export function binaryKernel(name: string, y: Wgsl, uses = wgsl``) {
  return kernel`
  @group(0) @binding(0) var<storage, read>       a:   array<f32>;
  @group(0) @binding(1) var<storage, read>       b:   array<f32>;
  @group(0) @binding(2) var<storage, read_write> out: array<f32>;
  @group(0) @binding(3) var<uniform>             p:   Params;
  ${flatIndex}
  ${broadcastIndex}
  ${uses}
  @compute @workgroup_size(64)
  fn ${name as Wgsl}(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { out[i] = ${y}; }
  }
`
}

interface Binary {
  readonly name: string
  /** Computes y of `a[indexA(i)]` and `b[indexB(i)]`. */
  readonly y: Wgsl
  /** The gradients, of the broadcast shape; sums over what was repeated follow. */
  readonly da: (run: Run, dy: Tensor, b: Tensor) => Tensor
  readonly db: (run: Run, dy: Tensor, a: Tensor) => Tensor
  /** Factor of db: -1 or, by default, 1. */
  readonly sign?: -1 | 1
}

/** Makes the op from its formulas. Its kernel is called `name`. */
export function binaryOp({ name, y, da, db, sign = 1 }: Binary): Op<[a: Tensor, b: Tensor]> {
  const program = binaryKernel(name, y)
  return {
    name,
    shape: (_, a, b) => broadcastShape(name, a, b),
    forward: (run, _, a, b) => [combine(run, program, a, b)],
    backward: (run, _, [dy], [a, b], _outputs, [needsA, needsB]) => [
      needsA ? sumTo(run, da(run, dy, b), a.shape) : null,
      needsB ? sumTo(run, db(run, dy, a), b.shape, sign) : null,
    ],
  }
}

/** What an op of a tensor and a number is: y = scale x + shift. */
type Affine = readonly [scale: number, shift: number]

const operand = rule('a tensor, or a number other than NaN', (v) => !Number.isNaN(v))

/** Throws TypeError for an operand that is the number NaN. */
export function checkNumbers(name: string, operands: Readonly<Record<'a' | 'b', unknown>>) {
  for (const [which, given] of Object.entries(operands)) checkValue(name, which, given, operand)
}

/** Makes the op callable. Either operand may be a number: `right(b)` gives a op b, and `left(a)`
 *  gives a op b of a tensor b. */
export function binary(
  def: Op<[a: Tensor, b: Tensor]>,
  right: (b: number) => Affine,
  left: (a: number) => Affine,
): (a: Tensor | number, b: Tensor | number) => Tensor {
  const apply = op(def, 'a', 'b')
  const [toA, toB] = [affineAs(def.name, 'a'), affineAs(def.name, 'b')]
  return (a, b) => {
    checkNumbers(def.name, { a, b })
    if (typeof b === 'number') return toA(a as Tensor, ...right(b)) // two numbers throw
    return typeof a === 'number' ? toB(b, ...left(a)) : apply({}, a, b)
  }
}
