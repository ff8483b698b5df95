// A fully connected layer: y = x W^T + b, with W [out, in] as in torch.
// dx = dy W, dW = dy^T x, db = the sum of dy's rows.

import {
  type Op,
  type Run,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  matrix,
  op,
  show,
  sizeOf,
} from '../op.ts'
import { gemm } from './gemm.ts'
import { columnSums } from '../wgsl/column-sums.ts'

function outputShape(x: Shape, w: Shape, b: Shape): Shape {
  const into = x.at(-1)
  if (into === undefined)
    throw new ShapeError(`linear: x must have a last axis of features [..., in], got ${show(x)}`)
  const [out, taken] = matrix(w, 'linear: w')
  if (into !== taken)
    throw new ShapeError(
      `linear: features differ, x ${show(x)} has ${into} and w ${show(w)} takes ${taken}`,
    )
  if (b.length !== 1 || b[0] !== out)
    throw new ShapeError(
      `linear: b must have one value per output, got ${show(b)} for w ${show(w)}`,
    )
  return [...x.slice(0, -1), out]
}

const flops = (x: Shape, w: Shape) => 2 * sizeOf(x) * dim(w, 0)

/** x [..., C] as rows [N, C]. */
function rowsOf(run: Run, x: Tensor): Tensor {
  const rows = sizeOf(x.shape.slice(0, -1))
  return x.shape.length === 2 ? x : run.view(x, [rows, dim(x.shape, x.shape.length - 1)])
}

/** x w^T + b of rows, in the shape of x's other axes. */
function forward(run: Run, x: Tensor, w: Tensor, bias: Tensor | null): Tensor {
  const y = gemm(run, rowsOf(run, x), w, { transB: true, bias })
  return x.shape.length === 2 ? y : run.view(y, [...x.shape.slice(0, -1), dim(w.shape, 0)])
}

type Needs = readonly boolean[]

function backward(run: Run, dy: Tensor, x: Tensor, w: Tensor, [dxNeeded, dwNeeded]: Needs) {
  const rows = rowsOf(run, dy)
  return [
    dxNeeded ? run.view(gemm(run, rows, w, {}), x.shape) : null,
    dwNeeded ? gemm(run, rows, rowsOf(run, x), { transA: true }) : null,
  ] as const
}

const linearOp: Op<[x: Tensor, w: Tensor, b: Tensor]> = {
  name: 'linear',
  shape: (_, x, w, b) => outputShape(x, w, b),
  flops: (_, x, w) => flops(x, w),
  forward: (run, _, x, w, b) => [forward(run, x, w, b)],
  backward: (run, _, [dy], [x, w], _outputs, needs) => [
    ...backward(run, dy, x, w, needs),
    needs[2] ? columnSums(run, rowsOf(run, dy)) : null,
  ],
}

const linearWithoutBiasOp: Op<[x: Tensor, w: Tensor]> = {
  name: 'linear',
  shape: (_, x, w) => outputShape(x, w, w.slice(0, 1)),
  flops: (_, x, w) => flops(x, w),
  forward: (run, _, x, w) => [forward(run, x, w, null)],
  backward: (run, _, [dy], [x, w], _outputs, needs) => backward(run, dy, x, w, needs),
}

const apply = op(linearOp, 'x', 'w', 'b')
const applyWithoutBias = op(linearWithoutBiasOp, 'x', 'w')

/** x w^T + b: x [..., in], w [out, in], b [out] -> [..., out]. Throws ShapeError. */
export const linear = (x: Tensor, w: Tensor, b?: Tensor | null): Tensor =>
  b ? apply({}, x, w, b) : applyWithoutBias({}, x, w)
