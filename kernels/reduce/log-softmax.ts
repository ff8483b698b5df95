import { type Op, type Tensor, kernel, op, wgsl } from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { axisOf, linesOf } from '../wgsl/axes.ts'
import { linePrologue, lines, perLine, sumOverLine } from '../wgsl/lines.ts'
import { lowest } from '../wgsl/lowest.ts'

// y = (x - m) - log(sum(exp(x - m))), with m the largest x. x - m is exact where y is near 0.
const forwardKernel = kernel`
  struct Params { count: u32, R: u32, B: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>; // [A, R, B]
  @group(0) @binding(1) var<storage, read_write> y: array<f32>; // [A, R, B]
  @group(0) @binding(2) var<uniform>             p: Params;
  ${lines}
  ${lowest}
  @compute @workgroup_size(64)
  fn logSoftmaxForward(${groupEntry}) {
    ${linePrologue}
    var most = LOWEST;
    for (var r = lane; r < p.R; r += lanes) { most = max(most, x[start + r * p.B]); }
    let m = lineMax(thread, most);
    ${sumOverLine(wgsl`p.R`, wgsl`exp(x[start + r * p.B] - m)`)}
    let logSum = log(lineSum(thread, sum));
    for (var r = lane; r < p.R; r += lanes) {
      let e = start + r * p.B;
      y[e] = x[e] - m - logSum;
    }
  }
`

// dx = dy - softmax(x) sum(dy), and softmax(x) = exp(y)
const backwardKernel = kernel`
  struct Params { count: u32, R: u32, B: u32 }
  @group(0) @binding(0) var<storage, read>       y:  array<f32>; // [A, R, B]
  @group(0) @binding(1) var<storage, read>       dy: array<f32>; // [A, R, B]
  @group(0) @binding(2) var<storage, read_write> dx: array<f32>; // [A, R, B]
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${lines}
  @compute @workgroup_size(64)
  fn logSoftmaxBackward(${groupEntry}) {
    ${linePrologue}
    ${sumOverLine(wgsl`p.R`, wgsl`dy[start + r * p.B]`)}
    let total = lineSum(thread, sum);
    for (var r = lane; r < p.R; r += lanes) {
      let e = start + r * p.B;
      dx[e] = dy[e] - exp(y[e]) * total;
    }
  }
`

const logSoftmaxOp: Op<[x: Tensor], [y: Tensor], { axis: number }> = {
  name: 'logSoftmax',
  shape({ axis }, x) {
    axisOf('logSoftmax', x, axis)
    return x
  },
  forward(run, { axis }, x) {
    const [A, R, B] = linesOf(x.shape, axisOf('logSoftmax', x.shape, axis))
    const params = { count: A * B, R, B }
    return run(forwardKernel, { reads: [x], makes: [x.shape], params, ...perLine(run, A * B, R) })
  },
  backward(run, { axis }, [dy], [x], [y]) {
    const [A, R, B] = linesOf(x.shape, axisOf('logSoftmax', x.shape, axis))
    const params = { count: A * B, R, B }
    return run(backwardKernel, {
      reads: [y, dy],
      makes: [x.shape],
      params,
      ...perLine(run, A * B, R),
    })
  },
}

const applyLogSoftmax = op(logSoftmaxOp)

/** log(softmax(x)) along an axis: rows of [N, C] by default. Logits may have any size. Throws
 *  ShapeError for an axis that x does not have. */
export const logSoftmax = (x: Tensor, axis = -1) => applyLogSoftmax({ axis }, x)
