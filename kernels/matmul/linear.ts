// A fully connected layer: y = x W^T + b, with W [out, in] as in torch.
// dx = dy W, dW = dy^T x, db = the sum of dy's rows.

import {
  type Op,
  type Run,
  type Shape,
  type Tensor,
  ShapeError,
  elementwise,
  flatIndex,
  kernel,
  matrix,
  op,
  show,
} from '../op.ts'
import { gemm } from './gemm.ts'
import { sumSplits } from '../wgsl/sum-splits.ts'

const columnSums = kernel`
  struct Params { rows: u32, columns: u32, each: u32 }
  @group(0) @binding(0) var<storage, read>       x:   array<f32>; // [rows, columns]
  @group(0) @binding(1) var<storage, read_write> out: array<f32>; // [splits, columns], sums of p.each rows
  @group(0) @binding(2) var<uniform>             p:   Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn linearBias(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let column = flat(id, groups);
    if (column >= p.columns) { return; }
    var sum = 0.0;
    let end = min(p.rows, (id.z + 1u) * p.each);
    for (var row = id.z * p.each; row < end; row++) { sum += x[row * p.columns + column]; }
    out[id.z * p.columns + column] = sum;
  }
`

function biasGradient(run: Run, dy: Tensor): Tensor {
  const [rows, columns] = matrix(dy.shape, 'linear: dy')
  const each = run.software ? Math.max(1, rows) : Math.max(32, Math.ceil(rows / 4096)) // on a GPU, many short sums at once
  const parts = Math.max(1, Math.ceil(rows / each))
  const [partial] = run(columnSums, {
    reads: [dy],
    makes: [[parts, columns]],
    params: { rows, columns, each },
    groups: [...elementwise(columns), parts],
  })
  return sumSplits(run, partial, [columns])
}

function outputShape(x: Shape, w: Shape, b: Shape): Shape {
  const [N, into] = matrix(x, 'linear: x')
  const [out, taken] = matrix(w, 'linear: w')
  if (into !== taken)
    throw new ShapeError(
      `linear: features differ, x ${show(x)} has ${into} and w ${show(w)} takes ${taken}`,
    )
  if (b.length !== 1 || b[0] !== out)
    throw new ShapeError(
      `linear: b must have one value per output, got ${show(b)} for w ${show(w)}`,
    )
  return [N, out]
}

const linearOp: Op<[x: Tensor, w: Tensor, b: Tensor]> = {
  name: 'linear',
  shape: (_, x, w, b) => outputShape(x, w, b),
  forward: (run, _, x, w, b) => [gemm(run, x, w, { transB: true, bias: b })],
  backward: (run, _, [dy], [x, w], _outputs, [dxNeeded, dwNeeded, dbNeeded]) => [
    dxNeeded ? gemm(run, dy, w, {}) : null,
    dwNeeded ? gemm(run, dy, x, { transA: true }) : null,
    dbNeeded ? biasGradient(run, dy) : null,
  ],
}

const linearWithoutBiasOp: Op<[x: Tensor, w: Tensor]> = {
  name: 'linear',
  shape: (_, x, w) => outputShape(x, w, w.slice(0, 1)),
  forward: (run, _, x, w) => [gemm(run, x, w, { transB: true })],
  backward: (run, _, [dy], [x, w], _outputs, [dxNeeded, dwNeeded]) => [
    dxNeeded ? gemm(run, dy, w, {}) : null,
    dwNeeded ? gemm(run, dy, x, { transA: true }) : null,
  ],
}

const apply = op(linearOp, 'x', 'w', 'b')
const applyWithoutBias = op(linearWithoutBiasOp, 'x', 'w')

/** x w^T + b: x [N, in], w [out, in], b [out] -> [N, out]. Throws ShapeError. */
export const linear = (x: Tensor, w: Tensor, b?: Tensor | null): Tensor =>
  b ? apply({}, x, w, b) : applyWithoutBias({}, x, w)
