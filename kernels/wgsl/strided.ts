// Reads an array in another order: the output has sizes, and the input a stride for each of them (0
// repeats it). Broadcasting, transposing, slicing and spreading a sum's gradient all do this.

import {
  type Run,
  type Shape,
  type Tensor,
  ShapeError,
  flatIndex,
  kernel,
  sizeOf,
  wgsl,
} from '../op.ts'
import { perElement } from './pointwise.ts'
import { byWidth, widthOf } from './widths.ts'

/** `offsetOf(i, sizes, strides)`: the offset in memory of element i of a row-major array, from its
 *  last three sizes and its four strides. */
export const offsetOf = wgsl`
  fn offsetOf(i: u32, sizes: vec3u, strides: vec4u) -> u32 {
    let z = i / sizes.z;
    let y = z / sizes.y;
    return dot(strides, vec4u(y / sizes.x, y % sizes.x, z % sizes.y, i % sizes.z));
  }
`

type Four = readonly [number, number, number, number]

interface Axis {
  readonly size: number
  readonly a: number
  readonly b: number
}

const one: Axis = { size: 1, a: 0, b: 0 }

/** Sizes and the strides of two operands: axes that both walk as one are merged, and those of size
 *  1 dropped. Throws ShapeError, beginning with `what`, when more than `most` remain. */
function merged(what: string, sizes: Shape, [a, b]: readonly [Shape, Shape], most: number): Axis[] {
  const axes: Axis[] = []
  for (const [i, size] of sizes.entries()) {
    if (size === 1) continue
    const axis = { size, a: a[i] ?? 0, b: b[i] ?? 0 }
    const outer = axes.at(-1)
    if (outer && outer.a === axis.a * size && outer.b === axis.b * size)
      axes.splice(-1, 1, { ...axis, size: outer.size * size })
    else axes.push(axis)
  }
  if (axes.length > most)
    throw new ShapeError(
      `${what} alternate between ${axes.length} groups of axes, at most ${most} are supported`,
    )
  return axes
}

/** Sizes and the strides of two operands in four axes. Throws ShapeError, beginning with `what`,
 *  when they need more. */
export function collapse(what: string, sizes: Shape, a: Shape, b: Shape = a) {
  const axes = merged(what, sizes, [a, b], 4)
  const [w = one, x = one, y = one, z = one] = [...[one, one, one, one].slice(axes.length), ...axes]
  const four = (of: (axis: Axis) => number): Four => [of(w), of(x), of(y), of(z)]
  return { sizes: four((axis) => axis.size), a: four((axis) => axis.a), b: four((axis) => axis.b) }
}

/** Params `name0` to `name3` of four numbers. */
export const numbered = (name: string, four: Four): Record<string, number> =>
  Object.fromEntries(four.map((value, i) => [`${name}${i}`, value]))

/** Params `n1` to `n3`: the sizes that `offsetOf` takes. */
export const innerSizes = ([, n1, n2, n3]: Four) => ({ n1, n2, n3 })

/** The strides of a row-major array, in elements. */
export const stridesOf = (shape: Shape): number[] => shape.map((_, i) => sizeOf(shape.slice(i + 1)))

/** The strides that read an array of `shape` as the larger `into`: 0 along axes that repeat it. */
export function broadcastStrides(shape: Shape, into: Shape): number[] {
  const strides = stridesOf(shape)
  const missing = into.length - shape.length
  return into.map((_, i) => (shape[i - missing] === 1 ? 0 : (strides[i - missing] ?? 0)))
}

const stridedKernel = byWidth(
  (types) => kernel`
  ${types}
  struct Params {
    count: u32, offset: u32, scale: f32,
    n1: u32, n2: u32, n3: u32, s0: u32, s1: u32, s2: u32, s3: u32,
  }
  @group(0) @binding(0) var<storage, read>       x:   array<F>;
  @group(0) @binding(1) var<storage, read_write> out: array<F>;
  @group(0) @binding(2) var<uniform>             p:   Params;
  ${flatIndex}
  ${offsetOf}
  @compute @workgroup_size(64)
  fn readStrided(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let source = p.offset + offsetOf(i, vec3u(p.n1, p.n2, p.n3), vec4u(p.s0, p.s1, p.s2, p.s3));
    out[i] = p.scale * x[source];
  }
`,
)

/** How `readStrided` walks its input. */
export interface StridedRead {
  readonly strides: Shape
  /** The first element read. */
  readonly offset?: number
  readonly scale?: number
}

const MOST = 8

/** Throws ShapeError, beginning with `what`, where `readStrided` cannot walk these strides. */
export const checkStrides = (what: string, sizes: Shape, strides: Shape) =>
  merged(what, sizes, [strides, strides], MOST)

// For five to eight axes, as in [B, N, 3, H, D] -> [3, B, H, N, D]
const wideKernel = byWidth(
  (types) => kernel`
  ${types}
  struct Params {
    count: u32, offset: u32, scale: f32,
    n1: u32, n2: u32, n3: u32, n4: u32, n5: u32, n6: u32, n7: u32,
    s0: u32, s1: u32, s2: u32, s3: u32, s4: u32, s5: u32, s6: u32, s7: u32,
  }
  @group(0) @binding(0) var<storage, read>       x:   array<F>;
  @group(0) @binding(1) var<storage, read_write> out: array<F>;
  @group(0) @binding(2) var<uniform>             p:   Params;
  ${flatIndex}
  ${offsetOf}
  @compute @workgroup_size(64)
  fn readWide(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let inner = p.n4 * p.n5 * p.n6 * p.n7;
    let source = p.offset
      + offsetOf(i / inner, vec3u(p.n1, p.n2, p.n3), vec4u(p.s0, p.s1, p.s2, p.s3))
      + offsetOf(i % inner, vec3u(p.n5, p.n6, p.n7), vec4u(p.s4, p.s5, p.s6, p.s7));
    out[i] = p.scale * x[source];
  }
`,
)

/** Reads a tensor of `shape` out of x. Throws ShapeError where the strides need more than eight
 *  axes. */
export function readStrided(
  run: Run,
  x: Tensor,
  shape: Shape,
  { strides, offset = 0, scale = 1 }: StridedRead,
): Tensor {
  const axes = checkStrides('the axes', shape, strides)
  const [program, rank] = axes.length <= 4 ? [stridedKernel, 4] : [wideKernel, MOST]
  const walked = Array.from({ length: rank }, (_, i) => axes[i - rank + axes.length] ?? one)
  const places = placesOf(walked, offset)
  const width = widthOf(...places)
  const params = { ...paramsOf(walked, width), offset: offset / width, scale }
  return perElement(run, program(...places), shape, { reads: [x], params, width })
}

/** Counts and offsets that are multiples of four where fours can be read: where numbers of the last
 *  axis lie in a row. */
function placesOf(walked: readonly Axis[], offset: number): number[] {
  const { size, a } = walked.at(-1) ?? one
  return a === 1 ? [size, offset, ...walked.slice(0, -1).map((axis) => axis.a)] : [1]
}

/** Sizes and strides of all axes, where `width` numbers of the last are read at a time. */
function paramsOf(walked: readonly Axis[], width: number): Record<string, number> {
  const last = walked.length - 1
  const sizes = walked.map(({ size }, i) => [`n${i}`, i === last ? size / width : size])
  const strides = walked.map(({ a }, i) => [`s${i}`, i === last ? a : a / width])
  return Object.fromEntries([...sizes.slice(1), ...strides])
}

/** Repeats x to fill `shape`, times `scale`. Each axis of x has size 1 or that of `shape`. */
export const spread = (run: Run, x: Tensor, shape: Shape, scale = 1): Tensor =>
  readStrided(run, x, shape, { strides: broadcastStrides(x.shape, shape), scale })
