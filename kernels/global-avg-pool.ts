// Mean over each whole image: adaptive average pooling to one cell, without its two dimensions.

import { type Op, type Shape, type Tensor, images, op } from './op.ts'
import { adaptiveAvgPoolGradient, adaptiveAvgPoolOp } from './adaptive-avg-pool.ts'

const grid = { size: [1, 1] } as const

const globalAvgPoolOp: Op<[x: Tensor]> = {
  name: 'globalAvgPool',
  shape: (_, x) => featureShape(x),
  forward(run, _, x) {
    const [y] = adaptiveAvgPoolOp.forward(run, grid, x)
    return [run.view(y, featureShape(x.shape))]
  },
  backward: (run, _, [dy], [x]) => [adaptiveAvgPoolGradient(run, grid, dy, x.shape)],
}

function featureShape(x: Shape): Shape {
  const [N, , , C] = images(x, 'globalAvgPool: x')
  return [N, C]
}

const apply = op(globalAvgPoolOp)

/** Mean of x [N, H, W, C] over rows and columns -> [N, C]. Throws ShapeError. */
export const globalAvgPool = (x: Tensor): Tensor => apply({}, x)
