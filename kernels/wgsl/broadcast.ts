// Elementwise functions of two tensors that broadcast as in numpy: aligned at the end, sizes are
// equal or 1. The gradient of a repeated element is the sum over its repetitions.

import {
  type Kernel,
  type Run,
  type Shape,
  type Tensor,
  ShapeError,
  show,
  sizeOf,
  wgsl,
} from '../op.ts'
import { scaled } from './affine.ts'
import { perElement } from './pointwise.ts'
import { sumAxes } from './reduce.ts'
import { broadcastStrides, collapse, innerSizes, numbered, offsetOf } from './strided.ts'

/** `struct Params`, and `indexA(i)` and `indexB(i)`: the elements of a and b that element i is
 *  computed from. */
export const broadcastIndex = wgsl`
  struct Params {
    count: u32, wholeA: u32, wholeB: u32, n1: u32, n2: u32, n3: u32,
    a0: u32, a1: u32, a2: u32, a3: u32, b0: u32, b1: u32, b2: u32, b3: u32,
  }
  ${offsetOf}
  fn indexA(i: u32) -> u32 {
    if (p.wholeA == 1u) { return i; }
    return offsetOf(i, vec3u(p.n1, p.n2, p.n3), vec4u(p.a0, p.a1, p.a2, p.a3));
  }
  fn indexB(i: u32) -> u32 {
    if (p.wholeB == 1u) { return i; }
    return offsetOf(i, vec3u(p.n1, p.n2, p.n3), vec4u(p.b0, p.b1, p.b2, p.b3));
  }
`

/** The shape of `name(a, b)`. Throws ShapeError where two sizes differ and neither is 1, or where
 *  the repeated axes alternate too often. */
export function broadcastShape(name: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length)
  const shape = Array.from({ length: rank }, (_, i) => {
    const [m, n] = [a[i - rank + a.length] ?? 1, b[i - rank + b.length] ?? 1]
    if (m !== n && m !== 1 && n !== 1)
      throw new ShapeError(`${name}: shapes do not broadcast, ${show(a)} and ${show(b)}`)
    return m === 1 ? n : m
  })
  walk(name, a, b, shape)
  return shape
}

const walk = (name: string, a: Shape, b: Shape, into: Shape) =>
  collapse(
    `${name}: shapes ${show(a)} and ${show(b)}`,
    into,
    broadcastStrides(a, into),
    broadcastStrides(b, into),
  )

/** Runs a kernel with `broadcastIndex` over the broadcast shape of a and b. `more`, of that shape,
 *  are bound after them. */
export function combine(
  run: Run,
  kernel: Kernel,
  a: Tensor,
  b: Tensor,
  more: readonly Tensor[] = [],
): Tensor {
  const shape = broadcastShape(kernel.name, a.shape, b.shape)
  const count = sizeOf(shape)
  const { sizes, ...strides } = walk(kernel.name, a.shape, b.shape, shape)
  const whole = (t: Tensor) => Number(sizeOf(t.shape) === count) // read element by element, without computing an offset
  const walked = { ...innerSizes(sizes), ...numbered('a', strides.a), ...numbered('b', strides.b) }
  const params = { wholeA: whole(a), wholeB: whole(b), ...walked }
  return perElement(run, kernel, shape, { reads: [a, b, ...more], params })
}

/** The gradient of an input of `shape` that was broadcast: dy summed over repeated axes, times
 *  `scale`. */
export function sumTo(run: Run, dy: Tensor, shape: Shape, scale = 1): Tensor {
  const missing = dy.shape.length - shape.length
  const repeated = dy.shape.flatMap((size, i) =>
    (shape[i - missing] ?? 1) === 1 && size !== 1 ? [i] : [],
  )
  const sum = repeated.length > 0 ? sumAxes(run, dy, repeated, scale) : scaled(run, dy, scale)
  return sum.shape.join() === shape.join() ? sum : run.view(sum, shape)
}
