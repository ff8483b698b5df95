// Products of every form, for tests of the kernels that compute them.

import { convWeightGradient } from '../kernels/conv-weight-gradient.ts'
import { convolve, convolveBack, convolveMoments } from '../kernels/convolve.ts'
import { gemm } from '../kernels/gemm.ts'
import type { Run, Shape, Tensor } from '../kernels/op.ts'

/** Runs a convolution and its gradients, and products of every form, of sizes that are multiples of
 *  four or not. */
export function everyProduct(run: Run, zeros: (shape: Shape) => Tensor) {
  for (const [M, K, N] of [
    [8, 4, 12],
    [64, 8, 64],
    [3, 5, 7],
  ] as const)
    for (const transA of [false, true])
      for (const transB of [false, true]) {
        const [a, b] = [zeros(transA ? [K, M] : [M, K]), zeros(transB ? [N, K] : [K, N])]
        gemm(run, a, b, { transA, transB })
      }
  for (const [C, K] of [
    [4, 8],
    [32, 32],
    [3, 8],
    [3, 5],
  ] as const) {
    const [x, w, dy] = [zeros([1, 4, 4, C]), zeros([3, 3, C, K]), zeros([1, 2, 2, K])]
    const steps = { stride: [1, 1], padding: [0, 0] } as const
    convolve(run, x, w, dy.shape, steps)
    convolveMoments(run, x, w, dy.shape, steps)
    const [rows, product] = [[1, 4, 4, C], zeros([1, 1, C, K])] as const
    convolveMoments(run, zeros(rows), product, [1, 4, 4, K], steps)
    convolveBack(run, dy, w, x.shape, steps)
    convWeightGradient(run, x, dy, w.shape, steps)
  }
}
