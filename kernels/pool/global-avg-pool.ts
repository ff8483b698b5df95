// Mean over each whole image: adaptive average pooling to one cell, without its two dimensions.

import {
  type Op,
  type Shape,
  type Tensor,
  elementwise,
  flatIndex,
  images,
  kernel,
  op,
} from '../op.ts'
import { byStorage } from '../wgsl/storage.ts'
import { widthOf } from '../wgsl/widths.ts'
import { adaptiveAvgPoolOp } from './adaptive-avg-pool.ts'

const spreadKernel = byStorage(
  (types) => kernel`
  struct Params { count: u32, pixels: u32, C: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       dy: array<F>; // [N, C]
  @group(0) @binding(1) var<storage, read_write> dx: array<S>; // [N, pixels, C]
  @group(0) @binding(2) var<uniform>             p:  Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn globalAvgPoolBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let share = narrow(dy[i] / f32(p.pixels));
    let start = i / p.C * p.pixels * p.C + i % p.C;
    for (var pixel = 0u; pixel < p.pixels; pixel++) { dx[start + pixel * p.C] = share; }
  }
`,
)

const globalAvgPoolOp: Op<[x: Tensor]> = {
  name: 'globalAvgPool',
  accepts: ['float'],
  shape: (_, x) => featureShape(x),
  forward(run, _, x) {
    const [y] = adaptiveAvgPoolOp.forward(run, { size: [1, 1] }, x)
    return [run.view(y, featureShape(x.shape))]
  },
  backward(run, _, [dy], [x]) {
    const [N, H, W, C] = images(x.shape, 'globalAvgPool: x')
    const { shape, dtype } = x
    const width = C / widthOf(C)
    const count = N * width
    return run(spreadKernel(x, C), {
      reads: [dy],
      makes: [{ shape, dtype }],
      params: { count, pixels: H * W, C: width },
      groups: elementwise(count),
    })
  },
}

function featureShape(x: Shape): Shape {
  const [N, , , C] = images(x, 'globalAvgPool: x')
  return [N, C]
}

const apply = op(globalAvgPoolOp)

/** Mean of x [N, H, W, C] over rows and columns -> [N, C], f32. Throws ShapeError for another
 *  shape. */
export const globalAvgPool = (x: Tensor): Tensor => apply({}, x)
