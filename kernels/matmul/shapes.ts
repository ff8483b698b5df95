// What a matrix product is of, and its shape.

import type { Shape, Tensor } from '../op.ts'

export interface Gemm {
  readonly transA?: boolean
  readonly transB?: boolean
  /** One number per column, added to every row. */
  readonly bias?: Tensor | null
  /** True never splits a sum, so that its bits do not depend on how many there are. */
  readonly unsplit?: boolean
}

/** The product's shape and the length of the sums: [M, N], or [batches, M, N] when a and b have three dimensions. */
export function productShape(a: Shape, b: Shape, { transA = false, transB = false }: Gemm) {
  const [batches, [M = 0, inner = 0], [K = 0, N = 0]] = [
    a.length === 3 ? (a[0] ?? 0) : 1,
    transA ? a.slice(-2).reverse() : a.slice(-2),
    transB ? b.slice(-2).reverse() : b.slice(-2),
  ]
  return { batches, M, N, K, inner, shape: a.length === 3 ? [batches, M, N] : [M, N] }
}
