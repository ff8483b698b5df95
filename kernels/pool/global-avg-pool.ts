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
import { adaptiveAvgPoolOp } from './adaptive-avg-pool.ts'

const spreadKernel = kernel`
  struct Params { count: u32, pixels: u32, C: u32 }
  @group(0) @binding(0) var<storage, read>       dy: array<f32>; // [N, C]
  @group(0) @binding(1) var<storage, read_write> dx: array<f32>; // [N, pixels, C]
  @group(0) @binding(2) var<uniform>             p:  Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn globalAvgPoolBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let share = dy[i] / f32(p.pixels);
    let start = i / p.C * p.pixels * p.C + i % p.C;
    for (var pixel = 0u; pixel < p.pixels; pixel++) { dx[start + pixel * p.C] = share; }
  }
`

const globalAvgPoolOp: Op<[x: Tensor]> = {
  name: 'globalAvgPool',
  shape: (_, x) => featureShape(x),
  forward(run, _, x) {
    const [y] = adaptiveAvgPoolOp.forward(run, { size: [1, 1] }, x)
    return [run.view(y, featureShape(x.shape))]
  },
  backward(run, _, [dy], [x]) {
    const [N, H, W, C] = images(x.shape, 'globalAvgPool: x')
    const params = { count: N * C, pixels: H * W, C }
    return run(spreadKernel, { reads: [dy], makes: [x.shape], params, groups: elementwise(N * C) })
  },
}

function featureShape(x: Shape): Shape {
  const [N, , , C] = images(x, 'globalAvgPool: x')
  return [N, C]
}

const apply = op(globalAvgPoolOp)

/** Mean of x [N, H, W, C] over rows and columns -> [N, C]. Throws ShapeError for another shape. */
export const globalAvgPool = (x: Tensor): Tensor => apply({}, x)
