// Matrix product. Its gradients are matrix products: for y = a b, da = dy b^T and db = a^T dy.

import { type Op, type Tensor, ShapeError, op, show, sizeOf } from '../op.ts'
import { gemm, productShape } from './gemm.ts'
import { checkOptions, flag } from '../options.ts'

/** Options of `matmul`. */
export interface MatmulOptions {
  /** True takes a as [K, M]; false by default. */
  readonly transA?: boolean
  /** True takes b as [N, K]; false by default. */
  readonly transB?: boolean
}

const matmulOp: Op<[a: Tensor, b: Tensor], [Tensor], MatmulOptions> = {
  name: 'matmul',
  shape(attrs, a, b) {
    if (a.length !== b.length || a.length < 2 || a.length > 3)
      throw new ShapeError(
        `matmul: a and b must both be matrices [rows, columns] or batches of them, got ${show(a)} and ${show(b)}`,
      )
    if (a.length === 3 && a[0] !== b[0])
      throw new ShapeError(`matmul: batches differ, ${show(a)} x ${show(b)}`)
    const { K, inner, shape } = productShape(a, b, attrs)
    if (K !== inner)
      throw new ShapeError(
        `matmul: inner dimensions differ, ${show(a)}${attrs.transA ? ' transposed' : ''} x ${show(b)}${attrs.transB ? ' transposed' : ''}`,
      )
    return shape
  },
  flops(attrs, a, b) {
    const { inner, shape } = productShape(a, b, attrs)
    return 2 * inner * sizeOf(shape)
  },
  forward: (run, attrs, a, b) => [gemm(run, a, b, attrs)],
  backward(run, { transA = false, transB = false }, [dy], [a, b], _outputs, [daNeeded, dbNeeded]) {
    const da = () =>
      transA
        ? gemm(run, b, dy, { transA: transB, transB: true })
        : gemm(run, dy, b, { transB: !transB })
    const db = () =>
      transB
        ? gemm(run, dy, a, { transA: true, transB: transA })
        : gemm(run, a, dy, { transA: !transA })
    return [daNeeded ? da() : null, dbNeeded ? db() : null]
  },
}

const apply = op(matmulOp, 'a', 'b')

/** Matrix product a [M, K] x b [K, N] -> [M, N], or of each pair of a batch, a [B, M, K] x b [B, K,
 *  N] -> [B, M, N]. Throws ShapeError. */
export const matmul = (a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor =>
  apply(checkOptions('matmul', options, { transA: flag, transB: flag }), a, b)
