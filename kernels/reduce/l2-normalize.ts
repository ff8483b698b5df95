import { type Op, type Tensor, kernel, op, wgsl } from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { axisOf, linesOf, reducedShape } from '../wgsl/axes.ts'
import { linePrologue, lines, perLine, sumOverLine } from '../wgsl/lines.ts'
import { maximumOf } from '../wgsl/nan.ts'
import { anything, checkOptions, notNegative } from '../options.ts'

const forwardKernel = kernel`
  struct Params { count: u32, R: u32, B: u32, eps: f32 }
  @group(0) @binding(0) var<storage, read>       x:    array<f32>; // [A, R, B]
  @group(0) @binding(1) var<storage, read_write> y:    array<f32>; // [A, R, B]
  @group(0) @binding(2) var<storage, read_write> norm: array<f32>; // [A, B]
  @group(0) @binding(3) var<uniform>             p:    Params;
  ${lines}
  ${maximumOf}
  fn square(v: f32) -> f32 { return v * v; }
  @compute @workgroup_size(64)
  fn l2NormalizeForward(${groupEntry}) {
    ${linePrologue}
    ${sumOverLine(wgsl`p.R`, wgsl`square(x[start + r * p.B])`)}
    let length = maximumOf(sqrt(lineSum(thread, sum)), p.eps);
    if (lane == 0u) { norm[line] = length; }
    for (var r = lane; r < p.R; r += lanes) {
      let e = start + r * p.B;
      y[e] = x[e] / length;
    }
  }
`

// y = x / |x|,  dx = (dy - y (y·dy)) / |x|.  Where |x| <= eps, dx = 0. torch has dy / eps there,
// which throws a network with a zero row to 1e12.
const backwardKernel = kernel`
  struct Params { count: u32, R: u32, B: u32, eps: f32 }
  @group(0) @binding(0) var<storage, read>       y:    array<f32>; // [A, R, B]
  @group(0) @binding(1) var<storage, read>       norm: array<f32>; // [A, B]
  @group(0) @binding(2) var<storage, read>       dy:   array<f32>; // [A, R, B]
  @group(0) @binding(3) var<storage, read_write> dx:   array<f32>; // [A, R, B]
  @group(0) @binding(4) var<uniform>             p:    Params;
  ${lines}
  @compute @workgroup_size(64)
  fn l2NormalizeBackward(${groupEntry}) {
    ${linePrologue}
    ${sumOverLine(wgsl`p.R`, wgsl`y[start + r * p.B] * dy[start + r * p.B]`)}
    let along = lineSum(thread, sum);
    let scale = select(0.0, 1.0 / norm[line], norm[line] > p.eps);
    for (var r = lane; r < p.R; r += lanes) {
      let e = start + r * p.B;
      dx[e] = (dy[e] - y[e] * along) * scale;
    }
  }
`

interface Attrs {
  readonly axis: number
  readonly eps: number
}

const l2NormalizeOp: Op<[x: Tensor], [y: Tensor, norm: Tensor], Attrs> = {
  name: 'l2Normalize',
  shape({ axis }, x) {
    axisOf('l2Normalize', x, axis)
    return x
  },
  forward(run, { axis, eps }, x) {
    const at = axisOf('l2Normalize', x.shape, axis)
    const [A, R, B] = linesOf(x.shape, at)
    return run(forwardKernel, {
      reads: [x],
      makes: [x.shape, reducedShape(x.shape, [at], true)],
      params: { count: A * B, R, B, eps },
      ...perLine(run, A * B, R),
    })
  },
  backward(run, { axis, eps }, [dy], [x], [y, norm]) {
    const [A, R, B] = linesOf(x.shape, axisOf('l2Normalize', x.shape, axis))
    return run(backwardKernel, {
      reads: [y, norm, dy],
      makes: [x.shape],
      params: { count: A * B, R, B, eps },
      ...perLine(run, A * B, R),
    })
  },
}

const applyL2Normalize = op(l2NormalizeOp)

/** Scales x to unit length along `axis`, x / max(|x|, eps): rows of [N, C] by default. A zero row
 *  stays zero, and its gradient is zero. A row with a NaN becomes NaN, and so does its gradient.
 *  Throws ShapeError for an axis that x does not have. */
export const l2Normalize = (x: Tensor, options: Partial<Attrs> = {}) => {
  const rules = { axis: anything, eps: notNegative }
  const { axis = -1, eps = 1e-12 } = checkOptions('l2Normalize', options, rules)
  return applyL2Normalize({ axis, eps }, x)
}
