// The largest element along an axis, and the index where it first occurs. A thread compares at
// most 128 elements, which lie equally far apart. A next stage compares the results the same way,
// so that long lines are split into ordered stages.

import {
  type Op,
  type Run,
  type Shape,
  type Tensor,
  ShapeError,
  elementwise,
  flatIndex,
  kernel,
  op,
  show,
} from '../op.ts'
import {
  type Axes,
  type KeepDims,
  axesOf,
  axisOf,
  linesOf,
  neighbours,
  reducedShape,
  keepsDims,
} from '../wgsl/axes.ts'
import { beats, perElement } from '../wgsl/pointwise.ts'
import { reshape } from '../shape/reshape.ts'
import { checkTensor } from '../options.ts'

const STAGE = 128 // elements that one thread compares at most

const firstKernel = kernel`
  struct Params { count: u32, width: u32, length: u32, B: u32 }
  @group(0) @binding(0) var<storage, read>       x:     array<f32>; // [A, length]
  @group(0) @binding(1) var<storage, read_write> most:  array<f32>; // [A, width]
  @group(0) @binding(2) var<storage, read_write> index: array<i32>; // [A, width], position along the axis
  @group(0) @binding(3) var<uniform>             p:     Params;
  ${flatIndex}
  ${beats}
  @compute @workgroup_size(64)
  fn maxFirstStage(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let row = i / p.width * p.length;
    var best = i % p.width;
    for (var e = best + p.width; e < p.length; e += p.width) {
      if (beats(x[row + e], x[row + best])) { best = e; }
    }
    most[i] = x[row + best];
    index[i] = i32(best / p.B);
  }
`

const nextKernel = kernel`
  struct Params { count: u32, width: u32, length: u32 }
  @group(0) @binding(0) var<storage, read>       x:       array<f32>; // [A, length]
  @group(0) @binding(1) var<storage, read>       indices: array<i32>; // [A, length]
  @group(0) @binding(2) var<storage, read_write> most:    array<f32>; // [A, width]
  @group(0) @binding(3) var<storage, read_write> index:   array<i32>; // [A, width]
  @group(0) @binding(4) var<uniform>             p:       Params;
  ${flatIndex}
  ${beats}
  @compute @workgroup_size(64)
  fn maxNextStage(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let row = i / p.width * p.length;
    var best = row + i % p.width;
    for (var e = best + p.width; e < row + p.length; e += p.width) {
      let first = !beats(x[best], x[e]) && indices[e] < indices[best];
      if (beats(x[e], x[best]) || first) { best = e; }
    }
    most[i] = x[best];
    index[i] = indices[best];
  }
`

/** Returns values and indices of the first maxima along axis `at`, as [A, B]. */
function firstMaxima(run: Run, x: Tensor, at: number): [most: Tensor, index: Tensor] {
  const [A, R, B] = linesOf(x.shape, at)
  const stage = (rest: number) => (rest <= STAGE ? 1 : Math.ceil(rest / STAGE))
  const made = (S: number) => [[A, S, B], { shape: [A, S, B], dtype: 'i32' }] as const
  let S = stage(R)
  let [most, index] = run(firstKernel, {
    reads: [x],
    makes: made(S),
    params: { count: A * S * B, width: S * B, length: R * B, B },
    groups: elementwise(A * S * B),
  })
  while (S > 1) {
    const rest = S
    S = stage(rest)
    ;[most, index] = run(nextKernel, {
      reads: [most, index],
      makes: made(S),
      params: { count: A * S * B, width: S * B, length: rest * B },
      groups: elementwise(A * S * B),
    })
  }
  return [most, index]
}

const backwardKernel = kernel`
  struct Params { count: u32, R: u32, B: u32 }
  @group(0) @binding(0) var<storage, read>       index: array<i32>; // [A, B]
  @group(0) @binding(1) var<storage, read>       dy:    array<f32>; // [A, B]
  @group(0) @binding(2) var<storage, read_write> dx:    array<f32>; // [A, R, B]
  @group(0) @binding(3) var<uniform>             p:     Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn maxBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let line = i / p.B / p.R * p.B + i % p.B;
    dx[i] = select(0.0, dy[line], index[line] == i32(i / p.B % p.R));
  }
`

interface Attrs extends KeepDims {
  readonly axis: number
}

const maxOp: Op<[x: Tensor], [y: Tensor, index: Tensor], Attrs> = {
  name: 'max',
  shape: ({ axis, keepDims }, x) => reducedShape(x, [notEmpty('max', x, axis)], keepDims),
  forward(run, { axis, keepDims }, x) {
    const at = axisOf('max', x.shape, axis)
    const [most, index] = firstMaxima(run, x, at)
    return [run.view(most, reducedShape(x.shape, [at], keepDims)), index]
  },
  backward(run, { axis }, [dy], [x], [, index]) {
    const [, R, B] = linesOf(x.shape, axisOf('max', x.shape, axis))
    return [perElement(run, backwardKernel, x.shape, { reads: [index, dy], params: { R, B } })]
  },
}

const argmaxOp: Op<[x: Tensor], [index: Tensor], Attrs> = {
  name: 'argmax',
  shape: ({ axis, keepDims }, x) => reducedShape(x, [notEmpty('argmax', x, axis)], keepDims),
  forward(run, { axis, keepDims }, x) {
    const at = axisOf('argmax', x.shape, axis)
    const [, index] = firstMaxima(run, x, at)
    return [run.view(index, reducedShape(x.shape, [at], keepDims))]
  },
}

function notEmpty(name: string, shape: Shape, axis: number): number {
  const at = axisOf(name, shape, axis)
  if (shape[at] === 0)
    throw new ShapeError(`${name}: axis ${axis} of ${show(shape)} has nothing to choose from`)
  return at
}

const applyMax = op(maxOp)
const applyArgmax = op(argmaxOp)

/** The largest element of x over `axes` (all by default; negative ones count from the end), or NaN
 *  if one is NaN. The gradient goes to the first maximum in row-major order. Reduced axes are
 *  removed unless `keepDims`. Throws ShapeError for an axis that x does not have or that
 *  is empty. */
export function max(x: Tensor, axes?: Axes, options: KeepDims = {}): Tensor {
  checkTensor('max', 'x', x)
  const keepDims = keepsDims('max', options)
  if (x.dtype !== 'f32') throw new ShapeError(`max: x must be f32, got ${x.dtype} ${show(x.shape)}`)
  const over = axesOf('max', x.shape, axes)
  const shape = reducedShape(x.shape, over, keepDims)
  let most = x
  for (const [from, to] of neighbours(x.shape, over)) {
    const [, R] = linesOf(most.shape, from, to)
    most = applyMax({ axis: from }, reshape(most, most.shape.toSpliced(from, to - from, R)))
  }
  return reshape(most, shape)
}

/** The index of the first maximum along an axis (of the first NaN if there is one), i32. Not
 *  differentiable. Throws ShapeError for an axis that x does not have, or that is empty. */
export const argmax = (x: Tensor, axis: number, options: KeepDims = {}): Tensor =>
  applyArgmax({ axis, keepDims: keepsDims('argmax', options) }, x)
