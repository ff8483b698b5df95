import { type Op, type Tensor, kernel, op, wgsl } from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { axisOf, linesOf } from '../wgsl/axes.ts'
import { linePrologue, lines, perLine, sumOverLine } from '../wgsl/lines.ts'
import { lowest } from '../wgsl/lowest.ts'

// y = exp(x - m) / sum(exp(x - m)), with m the largest x
const forwardKernel = kernel`
  struct Params { count: u32, R: u32, B: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>; // [A, R, B]
  @group(0) @binding(1) var<storage, read_write> y: array<f32>; // [A, R, B]
  @group(0) @binding(2) var<uniform>             p: Params;
  ${lines}
  ${lowest}
  @compute @workgroup_size(64)
  fn softmaxForward(${groupEntry}) {
    ${linePrologue}
    var most = LOWEST;
    for (var r = lane; r < p.R; r += lanes) { most = max(most, x[start + r * p.B]); }
    let m = lineMax(thread, most);
    ${sumOverLine(wgsl`p.R`, wgsl`exp(x[start + r * p.B] - m)`)}
    let total = lineSum(thread, sum);
    for (var r = lane; r < p.R; r += lanes) {
      let e = start + r * p.B;
      y[e] = exp(x[e] - m) / total;
    }
  }
`

// dx = y (dy - sum(y dy))
const backwardKernel = kernel`
  struct Params { count: u32, R: u32, B: u32 }
  @group(0) @binding(0) var<storage, read>       y:  array<f32>; // [A, R, B]
  @group(0) @binding(1) var<storage, read>       dy: array<f32>; // [A, R, B]
  @group(0) @binding(2) var<storage, read_write> dx: array<f32>; // [A, R, B]
  @group(0) @binding(3) var<uniform>             p:  Params;
  ${lines}
  @compute @workgroup_size(64)
  fn softmaxBackward(${groupEntry}) {
    ${linePrologue}
    ${sumOverLine(wgsl`p.R`, wgsl`y[start + r * p.B] * dy[start + r * p.B]`)}
    let along = lineSum(thread, sum);
    for (var r = lane; r < p.R; r += lanes) {
      let e = start + r * p.B;
      dx[e] = y[e] * (dy[e] - along);
    }
  }
`

const softmaxOp: Op<[x: Tensor], [y: Tensor], { axis: number }> = {
  name: 'softmax',
  shape({ axis }, x) {
    axisOf('softmax', x, axis)
    return x
  },
  forward(run, { axis }, x) {
    const [A, R, B] = linesOf(x.shape, axisOf('softmax', x.shape, axis))
    const params = { count: A * B, R, B }
    return run(forwardKernel, { reads: [x], makes: [x.shape], params, ...perLine(run, A * B, R) })
  },
  backward(run, { axis }, [dy], [x], [y]) {
    const [A, R, B] = linesOf(x.shape, axisOf('softmax', x.shape, axis))
    const reads = [y, dy]
    const params = { count: A * B, R, B }
    return run(backwardKernel, { reads, makes: [x.shape], params, ...perLine(run, A * B, R) })
  },
}

const applySoftmax = op(softmaxOp)

/** exp(x) / sum(exp(x)) along an axis: rows of [N, C] by default. Logits may have any size;
 *  -Infinity masks an element. A line of nothing else is NaN, as in torch. Throws ShapeError for an
 *  axis that x does not have. */
export const softmax = (x: Tensor, axis = -1) => applySoftmax({ axis }, x)
