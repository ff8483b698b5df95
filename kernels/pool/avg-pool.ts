// Mean of each window. Padding is zeros and counts in the divisor (torch's count_include_pad).

import {
  type Op,
  type Run,
  type Shape,
  type Tensor,
  dim,
  elementwise,
  flatIndex,
  kernel,
  op,
  sizeOf,
} from '../op.ts'
import {
  type PoolOptions,
  type Window,
  longSide,
  poolParams,
  imageCoords,
  pooledShape,
  windowOf,
  windowParams,
  windows,
} from './window.ts'

const avgKernel = kernel`
  struct Params { ${poolParams} }
  @group(0) @binding(0) var<storage, read>       x: array<f32>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read_write> y: array<f32>; // [N, outH, outW, C]
  @group(0) @binding(2) var<uniform>             p: Params;
  ${flatIndex}
  ${imageCoords}
  @compute @workgroup_size(64)
  fn avgPool(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let o = imageCoords(i, p.outH, p.outW, p.C);
    let top = o.y * p.stride;
    let left = o.z * p.stride;
    let rows = vec2u(max(top, p.padding), min(top + p.size, p.H + p.padding)) - p.padding;
    let columns = vec2u(max(left, p.padding), min(left + p.size, p.W + p.padding)) - p.padding;
    var sum = 0.0;
    for (var h = rows.x; h < rows.y; h++) {
      for (var w = columns.x; w < columns.y; w++) { sum += x[((o.x * p.H + h) * p.W + w) * p.C + o.w]; }
    }
    y[i] = sum / f32(p.size * p.size);
  }
`

const backwardKernel = kernel`
  struct Params { ${poolParams}, K: u32 }
  @group(0) @binding(0) var<storage, read>       dy: array<f32>; // [N, outH, outW, K], K at least C
  @group(0) @binding(1) var<storage, read_write> dx: array<f32>; // [N, H, W, C]
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
    var sum = 0.0;
    for (var h = rows.x; h < rows.y; h++) {
      for (var w = columns.x; w < columns.y; w++) { sum += dy[((at.x * p.outH + h) * p.outW + w) * p.K + at.w]; }
    }
    dx[i] = sum / f32(p.size * p.size);
  }
`

/** The gradient [N, H, W, C] of the input, from the first C channels of dy [N, Ho, Wo, K]. */
export function avgPoolBack(run: Run, dy: Tensor, x: Shape, window: Window): Tensor {
  const count = sizeOf(x)
  const [dx] = run(backwardKernel, {
    reads: [dy],
    makes: [x],
    params: { count, K: dim(dy.shape, 3), ...windowParams(x, dy.shape, window, 'avgPool') },
    constants: longSide(x, window, 'avgPool'),
    groups: elementwise(count),
  })
  return dx
}

const avgPoolOp: Op<[x: Tensor], [Tensor], Window> = {
  name: 'avgPool',
  shape: (window, x) => pooledShape(x, window, 'avgPool'),
  forward(run, window, x) {
    const out = avgPoolOp.shape(window, x.shape)
    const count = sizeOf(out)
    return run(avgKernel, {
      reads: [x],
      makes: [out],
      params: { count, ...windowParams(x.shape, out, window, 'avgPool') },
      groups: elementwise(count),
    })
  },
  backward: (run, window, [dy], [x]) => [avgPoolBack(run, dy, x.shape, window)],
}

const apply = op(avgPoolOp)

/** Mean of each window of x [N, H, W, C] -> [N, Ho, Wo, C], Ho = floor((H + 2 padding - size) /
 *  stride) + 1. Padding is zeros and counts in the divisor. Throws ShapeError. */
export const avgPool = (x: Tensor, options: PoolOptions): Tensor =>
  apply(windowOf('avgPool', options), x)
