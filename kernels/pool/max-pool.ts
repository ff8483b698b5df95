// Maximum of each window. Padding is minus infinity. The gradient of a window goes to its first
// maximum in row-major order, as in torch. An input pixel sums the gradients of the windows that
// contain it.

import { type Op, type Tensor, elementwise, flatIndex, kernel, op, sizeOf } from '../op.ts'
import { beats, perElement } from '../wgsl/pointwise.ts'
import {
  type PoolOptions,
  type Window,
  longSide,
  poolParams,
  imageCoords,
  inWindow,
  pooledShape,
  windowOf,
  windowParams,
  windows,
} from './window.ts'

const maxKernel = kernel`
  struct Params { ${poolParams} }
  @group(0) @binding(0) var<storage, read>       x:     array<f32>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read_write> y:     array<f32>; // [N, outH, outW, C]
  @group(0) @binding(2) var<storage, read_write> index: array<u32>; // like y: the pixel of the maximum in its image
  @group(0) @binding(3) var<uniform>             p:     Params;
  ${flatIndex}
  ${imageCoords}
  ${inWindow}
  ${beats}
  @compute @workgroup_size(64)
  fn maxPool(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let o = imageCoords(i, p.outH, p.outW, p.C);
    let rows = inWindow(o.y, p.H);
    let columns = inWindow(o.z, p.W);
    var at = rows.x * p.W + columns.x;
    var best = x[(o.x * p.H * p.W + at) * p.C + o.w];
    for (var h = rows.x; h < rows.y; h++) {
      for (var w = columns.x; w < columns.y; w++) {
        let value = x[((o.x * p.H + h) * p.W + w) * p.C + o.w];
        if (beats(value, best)) {
          best = value;
          at = h * p.W + w;
        }
      }
    }
    y[i] = best;
    index[i] = at;
  }
`

const backwardKernel = kernel`
  struct Params { ${poolParams} }
  @group(0) @binding(0) var<storage, read>       dy:    array<f32>; // [N, outH, outW, C]
  @group(0) @binding(1) var<storage, read>       index: array<u32>; // like dy
  @group(0) @binding(2) var<storage, read_write> dx:    array<f32>; // [N, H, W, C]
  @group(0) @binding(3) var<uniform>             p:     Params;
  ${flatIndex}
  ${imageCoords}
  ${windows}
  @compute @workgroup_size(64)
  fn maxPoolBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let at = imageCoords(i, p.H, p.W, p.C);
    let here = at.y * p.W + at.z;
    let rows = windows(at.y, p.size, p.stride, p.padding, p.outH);
    let columns = windows(at.z, p.size, p.stride, p.padding, p.outW);
    var sum = 0.0;
    for (var h = rows.x; h < rows.y; h++) {
      for (var w = columns.x; w < columns.y; w++) {
        let o = ((at.x * p.outH + h) * p.outW + w) * p.C + at.w;
        if (index[o] == here) { sum += dy[o]; }
      }
    }
    dx[i] = sum;
  }
`

const maxPoolOp: Op<[x: Tensor], [y: Tensor, index: Tensor], Window> = {
  name: 'maxPool',
  shape: (window, x) => pooledShape(x, window, 'maxPool'),
  forward(run, window, x) {
    const out = maxPoolOp.shape(window, x.shape)
    const count = sizeOf(out)
    return run(maxKernel, {
      reads: [x],
      makes: [out, { shape: out, dtype: 'i32' }],
      params: { count, ...windowParams(x.shape, out, window, 'maxPool') },
      groups: elementwise(count),
    })
  },
  backward(run, window, [dy], [x], [, index]) {
    const params = windowParams(x.shape, dy.shape, window, 'maxPool')
    const constants = longSide(x.shape, window, 'maxPool')
    return [perElement(run, backwardKernel, x.shape, { reads: [dy, index], params, constants })]
  },
}

const apply = op(maxPoolOp)

/** Maximum of each window of x [N, H, W, C] -> [N, Ho, Wo, C], Ho = floor((H + 2 padding - size) /
 *  stride) + 1. A window with a NaN gives NaN. Throws ShapeError. */
export const maxPool = (x: Tensor, options: PoolOptions): Tensor =>
  apply(windowOf('maxPool', options), x)
