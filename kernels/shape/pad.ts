import {
  type Op,
  type Run,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  flatIndex,
  kernel,
  op,
  show,
} from '../op.ts'
import { checkOptions, describe, number } from '../options.ts'
import { linesOf } from '../wgsl/axes.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { readStrided, stridesOf } from '../wgsl/strided.ts'

// Pads one axis. Rows are [axis, and those behind it].
const padKernel = kernel`
  struct Params { count: u32, width: u32, start: u32, end: u32, value: f32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>; // [A, end - start]
  @group(0) @binding(1) var<storage, read_write> y: array<f32>; // [A, width]
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn pad(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let e = i % p.width;
    var value = p.value;
    if (e >= p.start && e < p.end) { value = x[i / p.width * (p.end - p.start) + e - p.start]; }
    y[i] = value;
  }
`

/** Elements to add before and after an axis. */
export type PadWidth = readonly [before: number, after: number]

interface Attrs {
  readonly widths: readonly PadWidth[]
  readonly value: number
}

const padOp: Op<[x: Tensor], [y: Tensor], Attrs> = {
  name: 'pad',
  shape: ({ widths }, x) => padded(widths, x),
  forward(run, { widths, value }, x) {
    let y = x
    for (const [axis, width] of widened(widths)) y = padAxis(run, y, axis, { width, value })
    return [y === x ? run.view(x, x.shape) : y]
  },
  backward(run, { widths }, [dy], [x]) {
    let dx = dy
    for (const [axis, [before]] of widened(widths)) {
      const strides = stridesOf(dx.shape)
      const shape = dx.shape.map((size, i) => (i === axis ? dim(x.shape, i) : size))
      dx = readStrided(run, dx, shape, { strides, offset: before * dim(strides, axis) })
    }
    return [dx]
  },
}

/** The axes that grow, last first. */
const widened = (widths: readonly PadWidth[]) =>
  [...widths.entries()].filter(([, [before, after]]) => before + after > 0).reverse()

function padAxis(
  run: Run,
  x: Tensor,
  axis: number,
  { width: [before, after], value }: { readonly width: PadWidth; readonly value: number },
): Tensor {
  const [, R, B] = linesOf(x.shape, axis)
  const shape = x.shape.map((size, i) => (i === axis ? before + size + after : size))
  const params = {
    width: (before + R + after) * B,
    start: before * B,
    end: (before + R) * B,
    value,
  }
  return perElement(run, padKernel, shape, { reads: [x], params })
}

function padded(widths: readonly PadWidth[], x: Shape): Shape {
  const isWidth = (width: unknown) =>
    Array.isArray(width) && width.length === 2 && width.every((n) => Number.isInteger(n) && n >= 0)
  if (!Array.isArray(widths) || !widths.every(isWidth))
    throw new TypeError(
      `pad: widths must be [before, after] of each axis, whole numbers from 0 on, got ${describe(widths)}`,
    )
  if (widths.length !== x.length)
    throw new ShapeError(
      `pad: there must be [before, after] of each axis of ${show(x)}, got ${widths.length} of them`,
    )
  return x.map((size, i) => size + (widths[i]?.[0] ?? 0) + (widths[i]?.[1] ?? 0))
}

const applyPad = op(padOp)

/** Adds elements of `value`, 0 by default, before and after each axis: widths [[before, after],
 *  ...], as numpy's pad has them. torch's pad lists them flat, the last axis first. Throws
 *  ShapeError unless there is one pair per axis. */
export function pad(
  x: Tensor,
  widths: readonly PadWidth[],
  options: { readonly value?: number } = {},
): Tensor {
  const { value = 0 } = checkOptions('pad', options, { value: number })
  return applyPad({ widths, value }, x)
}
