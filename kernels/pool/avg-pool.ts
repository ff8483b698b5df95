// Mean of each window. Padding is zeros and counts in the divisor (torch's count_include_pad).

import { type Op, type Run, type Shape, type Tensor, dim, flatIndex, kernel, op } from '../op.ts'
import {
  type PoolOptions,
  type Window,
  channelsOf,
  longSide,
  poolParams,
  imageCoords,
  inWindow,
  pooledShape,
  windowOf,
  windowParams,
  windows,
} from './window.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { byStorage } from '../wgsl/storage.ts'

const avgKernel = byStorage(
  (types) => kernel`
  struct Params { ${poolParams} }
  ${types}
  @group(0) @binding(0) var<storage, read>       x: array<S>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read_write> y: array<S>; // [N, outH, outW, C]
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${imageCoords}
  ${inWindow}
  @compute @workgroup_size(64)
  fn avgPool(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let o = imageCoords(i, p.outH, p.outW, p.C);
    let rows = inWindow(o.y, p.H);
    let columns = inWindow(o.z, p.W);
    var sum = F();
    for (var h = rows.x; h < rows.y; h++) {
      for (var w = columns.x; w < columns.y; w++) { sum += widen(x[((o.x * p.H + h) * p.W + w) * p.C + o.w]); }
    }
    y[i] = narrow(sum / f32(p.size * p.size));
  }
`,
)

const backwardKernel = byStorage(
  (types) => kernel`
  struct Params { ${poolParams}, K: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       dy: array<S>; // [N, outH, outW, K], K at least C
  @group(0) @binding(1) var<storage, read_write> dx: array<S>; // [N, H, W, C]
  @group(0) @binding(2) var<uniform>             p:  Params;
  ${flatIndex}
  ${imageCoords}
  ${windows}
  @compute @workgroup_size(64)
  fn avgPoolBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let at = imageCoords(i, p.H, p.W, p.C);
    let rows = windows(at.y, p.size, p.stride, p.padding, p.outH);
    let columns = windows(at.z, p.size, p.stride, p.padding, p.outW);
    var sum = F();
    for (var h = rows.x; h < rows.y; h++) {
      for (var w = columns.x; w < columns.y; w++) { sum += widen(dy[((at.x * p.outH + h) * p.outW + w) * p.K + at.w]); }
    }
    dx[i] = narrow(sum / f32(p.size * p.size));
  }
`,
)

/** The gradient [N, H, W, C] of the input, from the first C channels of dy [N, Ho, Wo, K]. */
export function avgPoolBack(run: Run, dy: Tensor, x: Shape, window: Window): Tensor {
  const width = channelsOf(x, dy.shape)
  const sizes = windowParams(x, dy.shape, window, 'avgPool')
  const params = { K: dim(dy.shape, 3) / width, ...sizes }
  const how = { reads: [dy], params, constants: longSide(x, window, 'avgPool'), width }
  return perElement(run, backwardKernel(dy, width), { shape: x, dtype: dy.dtype }, how)
}

const avgPoolOp: Op<[x: Tensor], [Tensor], Window> = {
  name: 'avgPool',
  accepts: ['float'],
  shape: (window, x) => pooledShape(x, window, 'avgPool'),
  forward(run, window, x) {
    const shape = avgPoolOp.shape(window, x.shape)
    const width = channelsOf(x.shape, shape)
    const params = windowParams(x.shape, shape, window, 'avgPool')
    const how = { reads: [x], params, width }
    return [perElement(run, avgKernel(x, width), { shape, dtype: x.dtype }, how)]
  },
  backward: (run, window, [dy], [x]) => [avgPoolBack(run, dy, x.shape, window)],
}

const apply = op(avgPoolOp)

/** Mean of each window of x [N, H, W, C] -> [N, Ho, Wo, C], Ho = floor((H + 2 padding - size) /
 *  stride) + 1. Padding is zeros and counts in the divisor. Throws ShapeError for a window that
 *  does not fit in the padded image. */
export const avgPool = (x: Tensor, options: PoolOptions): Tensor =>
  apply(windowOf('avgPool', options), x)
