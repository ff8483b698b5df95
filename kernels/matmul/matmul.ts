// Matrix product. Its gradients are matrix products: for y = a b, da = dy b^T and db = a^T dy.

import {
  type Op,
  type Run,
  type Shape,
  type Tensor,
  ShapeError,
  dim,
  op,
  show,
  sizeOf,
} from '../op.ts'
import { sumAxes } from '../wgsl/reduce.ts'
import { spread } from '../wgsl/strided.ts'
import { gemm, productShape } from './gemm.ts'
import { checkOptions, flag } from '../options.ts'

/** Options of `matmul`. */
export interface MatmulOptions {
  /** True takes a as [K, M]; false by default. */
  readonly transA?: boolean
  /** True takes b as [N, K]; false by default. */
  readonly transB?: boolean
}

interface Product {
  /** The leading axes of the result. */
  readonly batch: Shape
  /** Whether each factor is one matrix for the whole batch. */
  readonly shared: readonly [a: boolean, b: boolean]
}

/** How a batch of products is made. Throws ShapeError for leading axes that differ. */
function productOf(a: Shape, b: Shape): Product {
  if (a.length < 2 || b.length < 2)
    throw new ShapeError(
      `matmul: a and b must be matrices [rows, columns] or batches of them, got ${show(a)} and ${show(b)}`,
    )
  const [before, after] = [a.slice(0, -2), b.slice(0, -2)]
  if (before.length > 0 && after.length > 0 && before.join() !== after.join())
    throw new ShapeError(
      `matmul: batches differ, ${show(a)} x ${show(b)}; a factor may be one matrix for all, and expand repeats others`,
    )
  const batch = before.length > 0 ? before : after
  const one = batch.length > 0
  return { batch, shared: [one && before.length === 0, one && after.length === 0] }
}

/** x as [batches, rows, columns], or as the matrix that it is. A shared matrix is repeated. */
function flatten(run: Run, x: Tensor, { batch }: Product): Tensor {
  const own = x.shape.slice(-2)
  if (batch.length === 0) return x
  const into = [sizeOf(batch), ...own]
  return x.shape.length === 2 ? spread(run, run.view(x, [1, ...own]), into) : run.view(x, into)
}

/** x [..., rows, columns] as one matrix of all rows. */
const rowsOf = (run: Run, x: Tensor): Tensor =>
  x.shape.length === 2
    ? x
    : run.view(x, [sizeOf(x.shape.slice(0, -1)), dim(x.shape, x.shape.length - 1)])

/** The gradient of a factor that has `shape`, from those of each product of the batch. */
function gathered(run: Run, each: Tensor, shape: Shape): Tensor {
  if (each.shape.join() === shape.join()) return each
  return run.view(shape.length === 2 ? sumAxes(run, each, [0]) : each, shape)
}

// With one b for all, and a's rows as they lie, the batch is one product of all rows.
const isOneProduct = ({ shared }: Product, { transA = false }: MatmulOptions) =>
  shared[1] && !transA

const matmulOp: Op<[a: Tensor, b: Tensor], [Tensor], MatmulOptions> = {
  name: 'matmul',
  shape(attrs, a, b) {
    const { batch } = productOf(a, b)
    const { M, N, K, inner } = productShape(a, b, attrs)
    if (K !== inner)
      throw new ShapeError(
        `matmul: inner dimensions differ, ${show(a)}${attrs.transA ? ' transposed' : ''} x ${show(b)}${attrs.transB ? ' transposed' : ''}`,
      )
    return [...batch, M, N]
  },
  flops(attrs, a, b) {
    const { inner } = productShape(a, b, attrs)
    return 2 * inner * sizeOf(matmulOp.shape(attrs, a, b))
  },
  forward(run, attrs, a, b) {
    const product = productOf(a.shape, b.shape)
    const y = isOneProduct(product, attrs)
      ? gemm(run, rowsOf(run, a), b, attrs)
      : gemm(run, flatten(run, a, product), flatten(run, b, product), attrs)
    return [run.view(y, matmulOp.shape(attrs, a.shape, b.shape))]
  },
  backward(run, attrs, [given], [a0, b0], _outputs, [daNeeded, dbNeeded]) {
    const { transA = false, transB = false } = attrs
    const product = productOf(a0.shape, b0.shape)
    const one = isOneProduct(product, attrs)
    const flat = (x: Tensor) => (one ? rowsOf(run, x) : flatten(run, x, product))
    const [dy, a, b] = [flat(given), flat(a0), one ? b0 : flat(b0)]
    const da = () =>
      transA
        ? gemm(run, b, dy, { transA: transB, transB: true })
        : gemm(run, dy, b, { transB: !transB })
    const db = () =>
      transB
        ? gemm(run, dy, a, { transA: true, transB: transA })
        : gemm(run, a, dy, { transA: !transA })
    return [
      daNeeded ? (one ? run.view(da(), a0.shape) : gathered(run, da(), a0.shape)) : null,
      dbNeeded ? gathered(run, db(), b0.shape) : null,
    ]
  },
}

const apply = op(matmulOp, 'a', 'b')

/** Matrix product a [M, K] x b [K, N] -> [M, N], or of each pair of a batch, a [..., M, K] x b
 *  [..., K, N] -> [..., M, N]. Either may be one matrix for the whole batch. Throws ShapeError. */
export const matmul = (a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor =>
  apply(checkOptions('matmul', options, { transA: flag, transB: flag }), a, b)
