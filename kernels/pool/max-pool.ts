// Maximum of each window. Padding is minus infinity. The gradient of a window goes to its first
// maximum in row-major order, as in torch. An input pixel sums the gradients of the windows that
// contain it.

import { type Op, type Tensor, elementwise, flatIndex, kernel, op, sizeOf } from '../op.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { byStorage } from '../wgsl/storage.ts'
import { notNumbers } from '../wgsl/widths.ts'
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

const maxKernel = byStorage(
  (types) => kernel`
  struct Params { ${poolParams} }
  ${types}
  @group(0) @binding(0) var<storage, read>       x:     array<S>; // [N, H, W, C]
  @group(0) @binding(1) var<storage, read_write> y:     array<S>; // [N, outH, outW, C]
  @group(0) @binding(2) var<storage, read_write> index: array<U>; // like y: the pixel of the maximum in its image
  @group(0) @binding(3) var<uniform>             p:     Params;
  ${flatIndex}
  ${imageCoords}
  ${inWindow}
  ${notNumbers}
  @compute @workgroup_size(64)
  fn maxPool(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let o = imageCoords(i, p.outH, p.outW, p.C);
    let rows = inWindow(o.y, p.H);
    let columns = inWindow(o.z, p.W);
    let first = rows.x * p.W + columns.x;
    var at = U(first);
    var best = widen(x[(o.x * p.H * p.W + first) * p.C + o.w]);
    for (var h = rows.x; h < rows.y; h++) {
      for (var w = columns.x; w < columns.y; w++) {
        let value = widen(x[((o.x * p.H + h) * p.W + w) * p.C + o.w]);
        let beats = !notNumbers(best) & (notNumbers(value) | (value > best)); // NaN wins, as in torch
        best = select(best, value, beats);
        at = select(at, U(h * p.W + w), beats);
      }
    }
    y[i] = narrow(best);
    index[i] = at;
  }
`,
)

const backwardKernel = byStorage(
  (types) => kernel`
  struct Params { ${poolParams} }
  ${types}
  @group(0) @binding(0) var<storage, read>       dy:    array<S>; // [N, outH, outW, C]
  @group(0) @binding(1) var<storage, read>       index: array<U>; // like dy
  @group(0) @binding(2) var<storage, read_write> dx:    array<S>; // [N, H, W, C]
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
    var sum = F();
    for (var h = rows.x; h < rows.y; h++) {
      for (var w = columns.x; w < columns.y; w++) {
        let o = ((at.x * p.outH + h) * p.outW + w) * p.C + at.w;
        sum += select(F(), widen(dy[o]), index[o] == U(here));
      }
    }
    dx[i] = narrow(sum);
  }
`,
)

const maxPoolOp: Op<[x: Tensor], [y: Tensor, index: Tensor], Window> = {
  name: 'maxPool',
  accepts: ['float'],
  shape: (window, x) => pooledShape(x, window, 'maxPool'),
  forward(run, window, x) {
    const shape = maxPoolOp.shape(window, x.shape)
    const width = channelsOf(x.shape, shape)
    const count = sizeOf(shape) / width
    return run(maxKernel(x, width), {
      reads: [x],
      makes: [
        { shape, dtype: x.dtype },
        { shape, dtype: 'i32' },
      ],
      params: { count, ...windowParams(x.shape, shape, window, 'maxPool') },
      groups: elementwise(count),
    })
  },
  backward(run, window, [dy], [x], [, index]) {
    const { shape, dtype } = x
    const width = channelsOf(shape, dy.shape)
    const params = windowParams(shape, dy.shape, window, 'maxPool')
    const how = { reads: [dy, index], params, constants: longSide(shape, window, 'maxPool'), width }
    return [perElement(run, backwardKernel(x, width), { shape, dtype }, how)]
  },
}

const apply = op(maxPoolOp)

/** Maximum of each window of x [N, H, W, C] -> [N, Ho, Wo, C], Ho = floor((H + 2 padding - size) /
 *  stride) + 1. A window with a NaN gives NaN. Throws ShapeError for a window that does not fit in
 *  the padded image. */
export const maxPool = (x: Tensor, options: PoolOptions): Tensor =>
  apply(windowOf('maxPool', options), x)
