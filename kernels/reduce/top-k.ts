// The k largest elements of each row. A round finds the largest element after those already found,
// in the order of numbers, then of indices; so a row of R costs k R comparisons.

import {
  type Op,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  flatIndex,
  kernel,
  show,
  sizeOf,
} from '../op.ts'
import { checkTensor, checkValue, count } from '../options.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { lines, perLine } from '../wgsl/lines.ts'
import { orderKey } from '../wgsl/order-key.ts'
import { perElement } from '../wgsl/pointwise.ts'

const forwardKernel = kernel`
  struct Params { count: u32, R: u32, k: u32 }
  @group(0) @binding(0) var<storage, read>       x:       array<u32>; // [count, R], the bits of f32
  @group(0) @binding(1) var<storage, read_write> values:  array<u32>; // [count, k], the bits of f32
  @group(0) @binding(2) var<storage, read_write> indices: array<u32>; // [count, k]
  @group(0) @binding(3) var<uniform>             p:       Params;
  ${lines}
  ${orderKey}
  var<workgroup> found: array<vec2u, 64>;
  // The first of the largest candidates [key, index] of a row's threads; key 0 is none.
  fn lineFirst(thread: u32, own: vec2u) -> vec2u {
    if (lanes == 1u) { return own; }
    found[thread] = own;
    workgroupBarrier();
    let first = thread / lanes * lanes;
    var best = found[first];
    for (var t = 1u; t < lanes; t++) {
      let other = found[first + t];
      if (other.x > best.x || (other.x == best.x && other.y < best.y)) { best = other; }
    }
    workgroupBarrier();
    return best;
  }
  @compute @workgroup_size(64)
  fn topKForward(${groupEntry}) {
    // rows beyond the last repeat it
    let line = min(lineIndex(group, groups, thread), p.count - 1u);
    let lane = laneOf(thread);
    var last = vec2u(0xffffffffu, 0u); // key and index of what was found last
    for (var t = 0u; t < p.k; t++) {
      var own = vec2u();
      for (var r = lane; r < p.R; r += lanes) {
        let key = keyOf(x[line * p.R + r]);
        let isLeft = key < last.x || (key == last.x && r > last.y);
        if (isLeft && key > own.x) { own = vec2u(key, r); }
      }
      last = lineFirst(thread, own);
      if (lane == 0u) {
        values[line * p.k + t] = x[line * p.R + last.y];
        indices[line * p.k + t] = last.y;
      }
    }
  }
`

const backwardKernel = kernel`
  struct Params { count: u32, R: u32, k: u32 }
  @group(0) @binding(0) var<storage, read>       indices: array<u32>; // [lines, k]
  @group(0) @binding(1) var<storage, read>       dy:      array<f32>; // [lines, k]
  @group(0) @binding(2) var<storage, read_write> dx:      array<f32>; // [lines, R]
  @group(0) @binding(3) var<uniform>             p:       Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn topKBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let row = i / p.R * p.k;
    var value = 0.0;
    for (var t = 0u; t < p.k; t++) {
      if (indices[row + t] == i % p.R) { value = dy[row + t]; }
    }
    dx[i] = value;
  }
`

interface Attrs {
  readonly k: number
}

const topKOp: Op<[x: Tensor], [values: Tensor, indices: Tensor], Attrs> = {
  name: 'topK',
  shape: selectedShape,
  forward(run, { k }, x) {
    const R = dim(x.shape, x.shape.length - 1)
    const rows = sizeOf(x.shape.slice(0, -1))
    const shape = selectedShape({ k }, x.shape)
    return run(forwardKernel, {
      reads: [x],
      makes: [shape, { shape, dtype: 'i32' }],
      params: { count: rows, R, k },
      ...perLine(run, rows, R),
    })
  },
  backward(run, { k }, [dy], [x], [, indices]) {
    const params = { R: dim(x.shape, x.shape.length - 1), k }
    return [perElement(run, backwardKernel, x.shape, { reads: [indices, dy], params })]
  },
}

function selectedShape({ k }: Attrs, x: Shape): Shape {
  const R = x.at(-1)
  if (R === undefined || k > R)
    throw new ShapeError(`topK: the last axis of ${show(x)} has no ${k} elements`)
  return [...x.slice(0, -1), k]
}

/** The k largest elements along the last axis, largest first, like torch's topk: x [..., R] ->
 *  values [..., k] and indices [..., k], i32. Of equal elements the lowest index comes first; NaN
 *  counts as the largest number. The gradient of the values goes to the elements taken. Throws
 *  ShapeError for an axis of fewer than k elements. */
export function topK(x: Tensor, k: number): { readonly values: Tensor; readonly indices: Tensor } {
  checkTensor('topK', 'x', x)
  checkValue('topK', 'k', k, count)
  const [values, indices] = x.gpu.apply(topKOp, { k }, [x])
  return { values, indices }
}
