// Options and shapes of matrix products.

import type { DType, Shape, Tensor } from '../op.ts'

export interface Gemm {
  readonly transA?: boolean
  readonly transB?: boolean
  /** One number per column, added to every row. */
  readonly bias?: Tensor | null
  /** How the product is stored, of a multiple of four columns if in f16; f32 by default. */
  readonly dtype?: DType
  /** true: never split the sum, so that the bits of a product do not depend on the number of
   *  batches. */
  readonly unsplit?: boolean
}

/** The product's sizes and shape: [M, N], or [batches, M, N] for a and b of three dimensions. `K`
 *  and `inner` are the lengths of the sum that b and a ask for. */
export function productShape(a: Shape, b: Shape, { transA = false, transB = false }: Gemm) {
  const [batches, [M = 0, inner = 0], [K = 0, N = 0]] = [
    a.length === 3 ? (a[0] ?? 0) : 1,
    transA ? a.slice(-2).reverse() : a.slice(-2),
    transB ? b.slice(-2).reverse() : b.slice(-2),
  ]
  return { batches, M, N, K, inner, shape: a.length === 3 ? [batches, M, N] : [M, N] }
}
