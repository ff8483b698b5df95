// y[a, k, b] = x[a, i, b], with i = index[a, k, b] (gather) or index[k] (indexSelect). The
// gradients of a repeated index add up in the order of k. Each element of dx searches the indices
// for itself, so that every element has one writer.

import {
  type Op,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  flatIndex,
  kernel,
  op,
  show,
  wgsl,
} from '../op.ts'
import { axisOf, linesOf } from '../wgsl/axes.ts'
import { type Indices, asIntegers, checkIndices, indexTensor, isTensor } from '../wgsl/indices.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { flatNumbers } from '../numbers.ts'
import { checkTensor } from '../options.ts'

const indexAt = wgsl`
  struct Params { count: u32, R: u32, K: u32, B: u32, oneList: u32, nan: f32 }
  fn indexAt(a: u32, k: u32, b: u32) -> i32 {
    return index[select((a * p.K + k) * p.B + b, k, p.oneList == 1u)];
  }
`

const forwardKernel = kernel`
  @group(0) @binding(0) var<storage, read>       x:     array<f32>; // [A, R, B]
  @group(0) @binding(1) var<storage, read>       index: array<i32>; // [A, K, B], or [K] if shared
  @group(0) @binding(2) var<storage, read_write> y:     array<f32>; // [A, K, B]
  @group(0) @binding(3) var<uniform>             p:     Params;
  ${flatIndex}
  ${indexAt}
  @compute @workgroup_size(64)
  fn gatherForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let b = i % p.B;
    let a = i / p.B / p.K;
    let r = indexAt(a, i / p.B % p.K, b);
    var value = p.nan;
    if (r >= 0 && r < i32(p.R)) { value = x[(a * p.R + u32(r)) * p.B + b]; }
    y[i] = value;
  }
`

const backwardKernel = kernel`
  @group(0) @binding(0) var<storage, read>       index: array<i32>; // [A, K, B], or [K] if shared
  @group(0) @binding(1) var<storage, read>       dy:    array<f32>; // [A, K, B]
  @group(0) @binding(2) var<storage, read_write> dx:    array<f32>; // [A, R, B]
  @group(0) @binding(3) var<uniform>             p:     Params;
  ${flatIndex}
  ${indexAt}
  @compute @workgroup_size(64)
  fn gatherBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let b = i % p.B;
    let a = i / p.B / p.R;
    let r = i32(i / p.B % p.R);
    var sum = 0.0;
    for (var k = 0u; k < p.K; k++) {
      if (indexAt(a, k, b) == r) { sum += dy[(a * p.K + k) * p.B + b]; }
    }
    dx[i] = sum;
  }
`

interface Attrs {
  readonly axis: number
  /** True for indexSelect: one list of indices for all lines. */
  readonly shared: boolean
}

const gatherOp: Op<[x: Tensor, index: Tensor], [y: Tensor], Attrs> = {
  name: 'gather',
  accepts: ['f32', 'index'],
  shape: gathered,
  forward(run, attrs, x, index) {
    const shape = gathered(attrs, x.shape, index.shape)
    const reads = [x, asIntegers(run, index)]
    const params = paramsOf(attrs, x.shape, shape)
    return [perElement(run, forwardKernel, shape, { reads, params })]
  },
  backward(run, attrs, [dy], [x, index]) {
    const reads = [asIntegers(run, index), dy]
    const params = paramsOf(attrs, x.shape, dy.shape)
    return [perElement(run, backwardKernel, x.shape, { reads, params }), null]
  },
}

function paramsOf({ axis, shared }: Attrs, x: Shape, y: Shape) {
  const at = axisOf('gather', x, axis)
  const [, R, B] = linesOf(x, at)
  return { R, K: dim(y, at), B, oneList: Number(shared), nan: NaN }
}

function gathered({ axis, shared }: Attrs, x: Shape, index: Shape): Shape {
  if (shared) {
    const at = axisOf('indexSelect', x, axis)
    if (index.length !== 1)
      throw new ShapeError(`indexSelect: indices must be a list [K], got ${show(index)}`)
    return x.map((size, i) => (i === at ? dim(index, 0) : size))
  }
  const at = axisOf('gather', x, axis)
  if (index.length !== x.length || index.some((size, i) => i !== at && size !== x[i]))
    throw new ShapeError(
      `gather: indices may differ from x only along axis ${axis}, got ${show(index)} for ${show(x)}`,
    )
  return index
}

const applyGather = op(gatherOp, 'x', 'indices')

/** Gathers elements of x along an axis, like torch.gather: x [A, R, B], indices [A, K, B] -> [A,
 *  K, B] (a plain array is read in that order). Differentiable in x; repeated indices add up. An
 *  index outside x throws RangeError in a plain array and gives NaN in a tensor. Throws
 *  ShapeError. */
export function gather(x: Tensor, axis: number, indices: Indices): Tensor {
  checkTensor('gather', 'x', x)
  checkIndices('gather', 'indices', indices)
  if (isTensor(indices)) return applyGather({ axis, shared: false }, x, indices)
  const at = axisOf('gather', x.shape, axis)
  const [A, size, B] = linesOf(x.shape, at)
  const { length } = flatNumbers('gather: indices', indices)
  const K = length / (A * B)
  if (!Number.isInteger(K))
    throw new ShapeError(
      `gather: ${length} indices do not divide over the ${A * B} lines of ${show(x.shape)}`,
    )
  const shape = x.shape.map((n, i) => (i === at ? K : n))
  return applyGather({ axis, shared: false }, x, indexTensor('gather', x, indices, { shape, size }))
}

/** Selects slices of x along an axis, like torch.index_select: x [A, R, B], indices [K] -> [A, K,
 *  B]. Differentiable in x; repeated indices add up. An index outside x throws RangeError in a
 *  plain array and gives NaN in a tensor. Throws ShapeError. */
export function indexSelect(x: Tensor, axis: number, indices: Indices): Tensor {
  checkTensor('indexSelect', 'x', x)
  const size = dim(x.shape, axisOf('indexSelect', x.shape, axis))
  return applyGather({ axis, shared: true }, x, indexTensor('indexSelect', x, indices, { size }))
}
