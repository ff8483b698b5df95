// Means of sequences of different lengths that share a tensor: y[n, d] = mean over l < lengths[n]
// of x[n, l, d]. `lengthsOf` finds the lengths of sequences that are padded with 0.

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
} from '../op.ts'
import { asIntegers } from '../wgsl/indices.ts'
import { perElement } from '../wgsl/pointwise.ts'

const lengthsKernel = kernel`
  struct Params { count: u32, L: u32 }
  @group(0) @binding(0) var<storage, read>       tokens:  array<i32>; // [N, L]
  @group(0) @binding(1) var<storage, read_write> lengths: array<i32>; // [N]
  @group(0) @binding(2) var<uniform>             p:       Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn lengthsOf(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let n = flat(id, groups);
    if (n >= p.count) { return; }
    var length = 0u;
    for (var l = 0u; l < p.L; l++) {
      if (tokens[n * p.L + l] != 0) { length = l + 1u; }
    }
    lengths[n] = i32(length);
  }
`

const lengthsOp: Op<[tokens: Tensor]> = {
  name: 'lengthsOf',
  accepts: ['index'],
  shape(_, tokens) {
    if (tokens.length !== 2)
      throw new ShapeError(`lengthsOf: tokens must be [N, L], got ${show(tokens)}`)
    return tokens.slice(0, 1)
  },
  forward(run, _, tokens) {
    const make = { shape: tokens.shape.slice(0, 1), dtype: 'i32' } as const
    const params = { L: dim(tokens.shape, 1) }
    return [perElement(run, lengthsKernel, make, { reads: [asIntegers(run, tokens)], params })]
  },
}

const applyLengths = op(lengthsOp, 'tokens')

/** The length of each sequence of tokens [N, L], padded with 0 behind: i32 [N], the number of
 *  tokens up to the last that is not 0. Tokens are i32, or f32 that are whole. Not differentiable.
 *  Throws ShapeError. */
export const lengthsOf = (tokens: Tensor): Tensor => applyLengths({}, tokens)

const meanKernel = kernel`
  struct Params { count: u32, L: u32, D: u32 }
  @group(0) @binding(0) var<storage, read>       x:       array<f32>; // [N, L, D]
  @group(0) @binding(1) var<storage, read>       lengths: array<i32>; // [N]
  @group(0) @binding(2) var<storage, read_write> y:       array<f32>; // [N, D]
  @group(0) @binding(3) var<uniform>             p:       Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn meanRows(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let n = i / p.D;
    let length = u32(clamp(lengths[n], 0, i32(p.L)));
    var sum = 0.0;
    for (var l = 0u; l < length; l++) { sum += x[(n * p.L + l) * p.D + i % p.D]; }
    y[i] = select(0.0, sum / f32(length), length > 0u);
  }
`

const backwardKernel = kernel`
  struct Params { count: u32, L: u32, D: u32 }
  @group(0) @binding(0) var<storage, read>       lengths: array<i32>; // [N]
  @group(0) @binding(1) var<storage, read>       dy:      array<f32>; // [N, D]
  @group(0) @binding(2) var<storage, read_write> dx:      array<f32>; // [N, L, D]
  @group(0) @binding(3) var<uniform>             p:       Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn meanRowsBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let n = i / p.D / p.L;
    let length = clamp(lengths[n], 0, i32(p.L));
    var value = 0.0;
    if (i32(i / p.D % p.L) < length) { value = dy[n * p.D + i % p.D] / f32(length); }
    dx[i] = value;
  }
`

const meanOp: Op<[x: Tensor, lengths: Tensor], [y: Tensor]> = {
  name: 'meanRows',
  accepts: ['f32', 'index'],
  shape: pooled,
  forward(run, _, x, lengths) {
    const [L, D] = [dim(x.shape, 1), dim(x.shape, 2)]
    const reads = [x, asIntegers(run, lengths)]
    const shape = pooled({}, x.shape, lengths.shape)
    return [perElement(run, meanKernel, shape, { reads, params: { L, D } })]
  },
  backward(run, _, [dy], [x, lengths]) {
    const params = { L: dim(x.shape, 1), D: dim(x.shape, 2) }
    const reads = [asIntegers(run, lengths), dy]
    return [perElement(run, backwardKernel, x.shape, { reads, params }), null]
  },
}

function pooled(_: object, x: Shape, lengths: Shape): Shape {
  if (x.length !== 3 || lengths.length !== 1 || lengths[0] !== x[0])
    throw new ShapeError(
      `meanRows: x must be [N, L, D] and lengths [N], got ${show(x)} and ${show(lengths)}`,
    )
  return [dim(x, 0), dim(x, 2)]
}

const applyMean = op(meanOp, 'x', 'lengths')

/** The mean of the first lengths[n] rows of each x[n]: x [N, L, D], lengths [N] -> [N, D]; 0 where
 *  a length is 0. Lengths are i32, or f32 that are whole; they are limited to 0 to L.
 *  Differentiable in x. Rows behind the length are not read. Throws ShapeError. */
export const meanRows = (x: Tensor, lengths: Tensor): Tensor => applyMean({}, x, lengths)
