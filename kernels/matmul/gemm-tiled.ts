// The matrix product on a GPU, batched or not, in tiles (mainloop.ts). Split-K: where there are too
// few tiles to occupy the device, workgroups share the sum, and `sumSplits` adds their partial
// sums.

import { type DType, type Run, type Tensor, wgsl } from '../op.ts'
import { type Gemm, productShape } from './shapes.ts'
import { type LastStep, type FinishKind, finishName, otherOf, readsOther } from '../wgsl/finish.ts'
import { type Partial, sumSplits } from '../wgsl/sum-splits.ts'
import {
  type Loader,
  type BufferFormat,
  element,
  memoryOf,
  memoryOfY,
  store4,
} from '../tiles/loader.ts'
import { finishSnippet } from '../tiles/finish.ts'
import { matrixSide } from '../tiles/matrix-side.ts'
import { momentsBinding, momentsShape } from '../tiles/epilogue-moments.ts'
import { type TiledProduct, depthFor, planTiles, runTiled, slicesPerSplit } from '../tiles/plan.ts'

/** What a text depends on: the transposes, and how buffers are bound. */
interface Form {
  readonly transA: boolean
  readonly transB: boolean
  readonly a: BufferFormat
  readonly b: BufferFormat
  readonly y: BufferFormat
  readonly moments: boolean
  /** The last step; without one there may be a bias. */
  readonly finish: FinishKind
  /** Whether K is a multiple of every mma's k per slice. */
  readonly whole: boolean
}

const loader = ({ transA, transB, a, b, y, moments, finish, whole }: Form): Loader => ({
  name: moments ? wgsl`gemmMomentsTiled` : wgsl`gemm${finishName(finish)}Tiled`,
  along: { a: !transA, b: transB },
  memory: { a, b, y },
  moments,
  code: wgsl`
    struct Params {
      M: u32, N: u32, K: u32, aStride: u32, bStride: u32, biased: u32, batches: u32, slices: u32
    }
    @group(0) @binding(0) var<storage, read>       a:    array<${element(a)}>; // [batches, M, K] or [batches, K, M]
    @group(0) @binding(1) var<storage, read>       b:    array<${element(b)}>; // [batches, K, N] or [batches, N, K]
    ${readsOther(finish) ? wgsl`` : wgsl`@group(0) @binding(2) var<storage, read> bias: array<f32>; // [N], if biased`}
    @group(0) @binding(3) var<storage, read_write> y:    array<${element(y)}>; // [splits, batches, M, N]
    @group(0) @binding(${moments ? wgsl`5` : wgsl`4`}) var<uniform>             p:    Params;
    ${moments ? momentsBinding(wgsl`4`) : wgsl``}
    ${store4(y)}
    ${finishSnippet(finish, wgsl`2`, y)}
    var<private> first: u32 = 0u; // k of this split
    var<private> batch: u32 = 0u;
    var<private> yFrom: u32 = 0u;

    fn prologue(z: u32) {
      let index = z / p.batches; // of the split
      batch = z - index * p.batches;
      first = index * p.slices * depth;
      yFrom = z * p.M * p.N;
    }
    fn sliceCount(z: u32) -> u32 {
      let all = (p.K + depth - 1u) / depth;
      return min(p.slices, all - z / p.batches * p.slices);
    }
    ${matrixSide('A', wgsl`a`, a, !transA, { from: wgsl`batch * p.M * p.K`, stride: wgsl`p.aStride`, rows: wgsl`p.M`, sum: wgsl`p.K`, first: wgsl`first`, whole })}
    ${matrixSide('B', wgsl`b`, b, transB, { from: wgsl`batch * p.K * p.N`, stride: wgsl`p.bStride`, rows: wgsl`p.N`, sum: wgsl`p.K`, first: wgsl`first`, whole })}
    fn epilogue(row: u32, column: u32, sums: vec4f) {
      if (row >= p.M || column >= p.N) { return; }
      var numbers = sums;
      ${
        readsOther(finish)
          ? wgsl``
          : wgsl`if (p.biased == 1u) {
        for (var i = 0u; i < 4u; i++) { numbers[i] += bias[min(column + i, p.N - 1u)]; }
      }`
      }
      let at = yFrom + row * p.N + column;
      store4(at, p.N - column, finish(at, p.N - column, numbers));
    }
    fn storesSums() -> bool { return ${finish ? wgsl`false` : wgsl`p.biased == 0u`}; }
    fn storeOffset(z: u32, row: u32, column: u32) -> u32 { return (z * p.M * p.N + row * p.N + column) / 4u; }
  `,
})

const products = new Map<string, TiledProduct>()

function productFor(form: Form): TiledProduct {
  const key = Object.values(form).join()
  const ways = `${form.transA ? 't' : 'n'}${form.transB ? 't' : 'n'}${form.moments ? ' with moments' : ''}${form.finish ? `, ${form.finish}` : ''}`
  const product = products.get(key) ?? planTiles(`gemm ${ways}`, loader(form))
  products.set(key, product)
  return product
}

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
  const how = { moments: false, finish: last?.how ?? null, whole: K % 32 === 0 }
  const [partial] = runTiled(
    run,
    productFor({ transA, transB, ...memory, ...how }),
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
    productFor({
      transA: false,
      transB: false,
      ...memory,
      moments: true,
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
