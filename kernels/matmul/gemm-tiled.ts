// The matrix product on a GPU, batched or not, in tiles (mainloop.ts). Split-K: where there are too
// few tiles to occupy the device, workgroups share the sum, and `sumSplits` adds their partial
// sums.

import type { DType, Run, Tensor } from '../op.ts'
import { gemmProduct } from './gemm-loader.ts'
import { type Gemm, productShape } from './shapes.ts'
import { type LastStep, otherOf } from '../wgsl/finish.ts'
import { type Partial, sumSplits } from '../wgsl/sum-splits.ts'
import { memoryOf, memoryOfY } from '../tiles/loader.ts'
import { momentsShape } from '../tiles/epilogue-moments.ts'
import { depthFor, runTiled, slicesPerSplit } from '../tiles/plan.ts'

/** `gemm` on a GPU, with a last step, whose `other` is stored as y is; without a bias then. */
export function gemmTiled(
  run: Run,
  a: Tensor,
  b: Tensor,
  options: Gemm,
  finish: LastStep | null = null,
): Tensor {
  const { dtype = 'f32' } = options
  const { partial, out, finished } = parts(run, [a, b], options, finish)
  if (finished) return run.view(partial, out)
  return sumSplits(run, partial, out, { dtype, finish })
}

/** The partial sums of `gemm` on a GPU, in f32. */
export const gemmPartial = (run: Run, a: Tensor, b: Tensor, options: Gemm): Partial =>
  parts(run, [a, b], options, null)

/** The product, one part of the sum behind another. `finished`: there is one, and its last step is
 *  done. */
function parts(
  run: Run,
  [a, b]: readonly [Tensor, Tensor],
  options: Gemm,
  finish: LastStep | null,
): Partial & { readonly finished: boolean } {
  const { transA = false, transB = false, bias = null, unsplit = false, dtype = 'f32' } = options
  const { batches, M, N, K, shape } = productShape(a.shape, b.shape, options)
  const [aStride, bStride] = [transA ? M : K, transB ? K : N]
  const factors = { a: memoryOf(run, a, aStride), b: memoryOf(run, b, bStride) }
  const all = Math.ceil(K / depthFor(run))
  const slices = bias || unsplit ? all : slicesPerSplit(run, factors, { M, N, K, layers: batches }) // of a split; the last may have fewer, and none is empty
  const layers = Math.ceil(all / slices) * batches
  const finished = layers === batches
  const last = finished ? finish : null // parts are no whole sums, and stay in f32
  const stored = finished ? dtype : 'f32'
  const memory = { ...factors, y: memoryOfY(N, M * N, stored) }
  const how = { columns: null, finish: last?.how ?? null, whole: K % 32 === 0 }
  const [partial] = runTiled(
    run,
    gemmProduct({ transA, transB, ...memory, ...how }),
    { M, N, K, layers },
    {
      reads: [a, b, otherOf(last) ?? bias ?? b],
      makes: [{ shape: [layers / batches, ...shape], dtype: stored }],
      params: { K, aStride, bStride, biased: bias ? 1 : 0, batches, slices },
    },
  )
  return { partial, out: shape, finished }
}

/** a [M, K] times b [K, N] on a GPU, and the moments of its columns; null for these where the sum
 *  is split, because no workgroup has the whole sum. */
export function gemmMoments(
  run: Run,
  a: Tensor,
  b: Tensor,
  dtype: DType,
): { y: Tensor; moments: Tensor | null } {
  const { M, N, K, shape } = productShape(a.shape, b.shape, {})
  const memory = { a: memoryOf(run, a, K), b: memoryOf(run, b, N), y: memoryOfY(N, M * N, dtype) }
  const slices = Math.ceil(K / depthFor(run))
  if (slicesPerSplit(run, memory, { M, N, K, layers: 1 }) < slices)
    return { y: gemmTiled(run, a, b, { dtype }), moments: null }
  const [y, moments] = runTiled(
    run,
    gemmProduct({
      transA: false,
      transB: false,
      ...memory,
      columns: 'moments',
      finish: null,
      whole: K % 32 === 0,
    }),
    { M, N, K, layers: 1 },
    {
      reads: [a, b, b],
      makes: [{ shape, dtype }, momentsShape(M, N)],
      params: {
        K,
        aStride: K,
        bStride: N,
        biased: 0,
        batches: 1,
        slices,
      },
    },
  )
  return { y, moments }
}
