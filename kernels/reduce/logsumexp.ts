import { type Op, type Tensor, flatIndex, kernel, op, wgsl } from '../op.ts'
import { groupEntry } from '../wgsl/group-entry.ts'
import { type KeepDims, axisOf, linesOf, reducedShape, keepsDims } from '../wgsl/axes.ts'
import { linePrologue, lines, perLine, sumOverLine } from '../wgsl/lines.ts'
import { lowest } from '../wgsl/lowest.ts'
import { pointwise } from '../wgsl/pointwise.ts'

const forwardKernel = kernel`
  struct Params { count: u32, R: u32, B: u32 }
  @group(0) @binding(0) var<storage, read>       x: array<f32>; // [A, R, B]
  @group(0) @binding(1) var<storage, read_write> y: array<f32>; // [A, B]
  @group(0) @binding(2) var<uniform>             p: Params;
  ${lines}
  ${lowest}
  @compute @workgroup_size(64)
  fn logSumExpForward(${groupEntry}) {
    ${linePrologue}
    var most = LOWEST;
    for (var r = lane; r < p.R; r += lanes) { most = max(most, x[start + r * p.B]); }
    let peak = lineMax(thread, most);
    let infinite = bitcast<u32>(peak) == 0x7f800000u; // infinity - infinity would be NaN
    let m = select(peak, 0.0, infinite);
    ${sumOverLine(wgsl`p.R`, wgsl`exp(x[start + r * p.B] - m)`)}
    let s = lineSum(thread, sum);
    if (lane == 0u) { y[line] = m + log(s); }
  }
`

// dx = dy softmax(x) = dy exp(x - y)
const backwardKernel = kernel`
  struct Params { count: u32, R: u32, B: u32 }
  @group(0) @binding(0) var<storage, read>       x:  array<f32>; // [A, R, B]
  @group(0) @binding(1) var<storage, read>       y:  array<f32>; // [A, B]
  @group(0) @binding(2) var<storage, read>       dy: array<f32>; // [A, B]
  @group(0) @binding(3) var<storage, read_write> dx: array<f32>; // [A, R, B]
  @group(0) @binding(4) var<uniform>             p:  Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn logSumExpBackward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let line = i / p.B / p.R * p.B + i % p.B;
    dx[i] = dy[line] * exp(x[i] - y[line]);
  }
`

interface Attrs extends KeepDims {
  readonly axis: number
}

const logSumExpOp: Op<[x: Tensor], [y: Tensor], Attrs> = {
  name: 'logSumExp',
  shape: ({ axis, keepDims }, x) => reducedShape(x, [axisOf('logSumExp', x, axis)], keepDims),
  forward(run, { axis, keepDims }, x) {
    const at = axisOf('logSumExp', x.shape, axis)
    const [A, R, B] = linesOf(x.shape, at)
    return run(forwardKernel, {
      reads: [x],
      makes: [reducedShape(x.shape, [at], keepDims)],
      params: { count: A * B, R, B },
      ...perLine(run, A * B, R),
    })
  },
  backward(run, { axis }, [dy], [x], [y]) {
    const [, R, B] = linesOf(x.shape, axisOf('logSumExp', x.shape, axis))
    return [pointwise(run, backwardKernel, [x, y, dy], { R, B })]
  },
}

const applyLogSumExp = op(logSumExpOp)

/** log(sum(exp(x))) along an axis, for x of any size. -Infinity masks an element; a line of nothing
 *  else gives -Infinity. Infinity gives Infinity. As in torch, the gradient of an infinity that the
 *  result equals is NaN. Throws ShapeError for an axis that x does not have. */
export const logSumExp = (x: Tensor, axis = -1, options: KeepDims = {}) =>
  applyLogSumExp({ axis, keepDims: keepsDims('logSumExp', options) }, x)
