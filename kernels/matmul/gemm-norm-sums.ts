// The matrix product whose tiles also sum for a batch norm (epilogue-norm-sums.ts).

import type { Run, Tensor } from '../op.ts'
import { gemmProduct } from './gemm-loader.ts'
import { productShape } from './shapes.ts'
import type { NormGradient, NormReader } from '../pending.ts'
import { memoryOf } from '../tiles/loader.ts'
import { normDispatch, normSumsShape } from '../tiles/epilogue-norm-sums.ts'
import { depthFor, runTiled, slicesPerSplit } from '../tiles/plan.ts'

/** Whether the sum of a [M, K] times b [N, K], transposed, would be split. */
export function splitsGemm(run: Run, a: Tensor, b: Tensor): boolean {
  const { M, N, K } = productShape(a.shape, b.shape, { transB: true })
  const factors = { a: memoryOf(run, a, K), b: memoryOf(run, b, K) }
  return slicesPerSplit(run, factors, { M, N, K, layers: 1 }) < Math.ceil(K / depthFor(run))
}

/** a [M, K] times b [N, K], transposed, on a GPU whose tiles sum for a batch norm, in f16. */
export function gemmNormSums(run: Run, a: Tensor, b: Tensor, reader: NormReader): NormGradient {
  const { M, N, K, shape } = productShape(a.shape, b.shape, { transB: true })
  const { columns, reads, params, constants } = normDispatch(reader)
  const memory = { a: memoryOf(run, a, K), b: memoryOf(run, b, K), y: 'f16x4' as const }
  const [dz, sums] = runTiled(
    run,
    gemmProduct({
      ...{ transA: false, transB: true, ...memory },
      ...{ columns, finish: null, whole: K % 32 === 0 },
    }),
    { M, N, K, layers: 1 },
    {
      reads: [a, b, ...reads],
      makes: [{ shape, dtype: 'f16' }, normSumsShape(M, 1, N)],
      params: {
        ...{ K, aStride: K, bStride: K, biased: 0, batches: 1 },
        ...{ slices: Math.ceil(K / depthFor(run)), ...params },
      },
      constants,
    },
  )
  return { dz, sums }
}
