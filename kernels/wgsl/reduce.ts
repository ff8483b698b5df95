// Sums in stages, in a fixed order. A thread adds at most 128 numbers at equal distances, so that
// neighbouring threads read neighbouring numbers; the next stage adds the partial sums in the same
// way. The error grows as in a pairwise sum.

import { type Run, type Shape, type Tensor, flatIndex, kernel, show, sizeOf } from '../op.ts'
import { scaled } from './affine.ts'
import { type Axes, axesOf, linesOf, neighbours, reducedShape } from './axes.ts'
import { perElement } from './pointwise.ts'
import { broadcastStrides, collapse } from './strided.ts'

const STAGE = 128 // numbers that one thread adds at most

const sumKernel = kernel`
  struct Params { count: u32, width: u32, length: u32, scale: f32 }
  @group(0) @binding(0) var<storage, read>       x:   array<f32>; // [A, length]
  @group(0) @binding(1) var<storage, read_write> out: array<f32>; // [A, width]
  @group(0) @binding(2) var<uniform>             p:   Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn sumStage(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let row = i / p.width * p.length;
    var sum = 0.0;
    for (var e = i % p.width; e < p.length; e += p.width) { sum += x[row + e]; }
    out[i] = sum * p.scale;
  }
`

/** `over`: the reduced axes, counted from the front; `kept`: the shape with these of size 1;
 *  `count`: elements reduced into one. Throws ShapeError. */
export function reduction(name: string, shape: Shape, axes: Axes) {
  const over = axesOf(name, shape, axes)
  const kept = reducedShape(shape, over, true)
  collapse(`${name}: axes ${show(over)} of ${show(shape)}`, shape, broadcastStrides(kept, shape))
  return { over, kept, count: sizeOf(over.map((axis) => shape[axis] ?? 1)) }
}

/** The sum of x over `axes` (ascending, counted from the front) times `scale`. Reduced axes stay,
 *  with size 1. */
export function sumAxes(run: Run, x: Tensor, axes: readonly number[], scale = 1): Tensor {
  const shape = reducedShape(x.shape, axes, true)
  const ranges = neighbours(x.shape, axes)
  if (ranges.length === 0) return run.view(scaled(run, x, scale), shape)
  let sizes = x.shape
  let part = x
  for (const [i, [from, to]] of ranges.entries()) {
    part = sumLines(run, part, linesOf(sizes, from, to), i === ranges.length - 1 ? scale : 1)
    sizes = sizes.map((size, axis) => (axis >= from && axis < to ? 1 : size))
  }
  return run.view(part, shape)
}

/** [A, R, B] -> [A, B]. A stage adds R rows of width B into S rows, row r into row r mod S. */
function sumLines(
  run: Run,
  x: Tensor,
  [A, R, B]: readonly [number, number, number],
  scale: number,
): Tensor {
  const stages = Math.max(1, Math.ceil(Math.log(R) / Math.log(STAGE)))
  const each = Math.ceil(R ** (1 / stages))
  const S = stages === 1 ? 1 : Math.ceil(R / each)
  const params = { width: S * B, length: R * B, scale: S === 1 ? scale : 1 }
  const out = perElement(run, sumKernel, [A, S, B], { reads: [x], params })
  return S === 1 ? out : sumLines(run, out, [A, S, B], scale)
}
