// The matrix product on a GPU, batched or not, in tiles (mainloop.ts). Split-K: where there are too
// few tiles to occupy the device, workgroups share the sum, and `sumSplits` adds their partial
// sums.

import { type DType, type Run, type Tensor, wgsl } from '../op.ts'
import { type Gemm, productShape } from './shapes.ts'
import type { NormGradient, NormReader } from '../pending.ts'
import { storedAs } from '../wgsl/storage.ts'
import { sumSplits } from '../wgsl/sum-splits.ts'
import {
  type Loader,
  type BufferFormat,
  element,
  memoryOf,
  memoryOfY,
  store4,
} from '../tiles/loader.ts'
import { matrixSide } from '../tiles/matrix-side.ts'
import { momentsBinding, momentsShape } from '../tiles/epilogue-moments.ts'
import {
  type NormMask,
  normBindings,
  normDispatch,
  normSumsShape,
} from '../tiles/epilogue-norm-sums.ts'
import { type TiledProduct, depthFor, planTiles, runTiled, slicesPerSplit } from '../tiles/plan.ts'

/** What a text depends on: the transposes, and how buffers are bound. */
interface Form {
  readonly transA: boolean
  readonly transB: boolean
  readonly a: BufferFormat
  readonly b: BufferFormat
  readonly y: BufferFormat
  /** What is stored of y's columns, too. */
  readonly columns: 'moments' | NormMask | null
  /** Whether K is a multiple of every mma's k per slice. */
  readonly whole: boolean
}

/** The entry point, the bindings behind the factors, and what the epilogue is made of. */
function outputs({ columns, y }: Form) {
  const made = wgsl`var<storage, read_write> y:    array<${element(y)}>; // [splits, batches, M, N]`
  if (columns === null || columns === 'moments')
    return {
      name: columns ? wgsl`gemmMomentsTiled` : wgsl`gemmTiled`,
      more: columns,
      bindings: wgsl`
    @group(0) @binding(2) var<storage, read>       bias: array<f32>;           // [N], if biased
    @group(0) @binding(3) ${made}
    @group(0) @binding(${columns ? wgsl`5` : wgsl`4`}) var<uniform>             p:    Params;
    ${columns ? momentsBinding(wgsl`4`) : wgsl``}`,
      ends: wgsl`
    fn epilogue(row: u32, column: u32, sums: vec4f) {
      if (row >= p.M || column >= p.N) { return; }
      var numbers = sums;
      if (p.biased == 1u) {
        for (var i = 0u; i < 4u; i++) { numbers[i] += bias[min(column + i, p.N - 1u)]; }
      }
      store4(yFrom + row * p.N + column, p.N - column, numbers);
    }`,
    }
  return {
    name: wgsl`gemmNormTiled`,
    more: 'norm sums' as const,
    bindings: wgsl`
    @group(0) @binding(6) ${made}
    @group(0) @binding(8) var<uniform>             p:    Params;
    ${normBindings(columns)}`,
    ends: wgsl`
    fn exists(row: u32, column: u32) -> bool { return row < p.M && column < p.N; }
    fn placeOf4(row: u32, column: u32) -> u32 { return (row * p.N + column) / 4u; }
    fn chunkOf(row: u32) -> u32 { return row / 64u; }
    fn chunkCount() -> u32 { return (p.M + 63u) / 64u; }
    fn epilogue(row: u32, column: u32, sums: vec4f) {
      if (exists(row, column)) { store4(row * p.N + column, p.N - column, sums); }
    }`,
  }
}

function loader(form: Form): Loader {
  const { transA, transB, a, b, y, whole } = form
  const { name, more, bindings, ends } = outputs(form)
  return {
    name,
    along: { a: !transA, b: transB },
    memory: { a, b, y },
    columns: more,
    code: wgsl`
    struct Params {
      M: u32, N: u32, K: u32, aStride: u32, bStride: u32, biased: u32, batches: u32, slices: u32${more === 'norm sums' ? wgsl`, interleave: u32` : wgsl``}
    }
    @group(0) @binding(0) var<storage, read>       a:    array<${element(a)}>; // [batches, M, K] or [batches, K, M]
    @group(0) @binding(1) var<storage, read>       b:    array<${element(b)}>; // [batches, K, N] or [batches, N, K]
    ${bindings}
    ${store4(y)}
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
    ${ends}
    fn storesSums() -> bool { return p.biased == 0u; }
    fn storeOffset(z: u32, row: u32, column: u32) -> u32 { return (z * p.M * p.N + row * p.N + column) / 4u; }
  `,
  }
}

const products = new Map<string, TiledProduct>()

function productFor(form: Form): TiledProduct {
  const key = Object.values(form).join()
  const { transA, transB, columns } = form
  const beside = columns === null ? '' : columns === 'moments' ? ' with moments' : ' with norm sums'
  const ways = `${transA ? 't' : 'n'}${transB ? 't' : 'n'}${beside}`
  const product = products.get(key) ?? planTiles(`gemm ${ways}`, loader(form))
  products.set(key, product)
  return product
}

/** `gemm` on a GPU. */
export function gemmTiled(run: Run, a: Tensor, b: Tensor, options: Gemm): Tensor {
  const { transA = false, transB = false, bias = null, unsplit = false, dtype = 'f32' } = options
  const { batches, M, N, K, shape } = productShape(a.shape, b.shape, options)
  const [aStride, bStride] = [transA ? M : K, transB ? K : N]
  const factors = { a: memoryOf(run, a, aStride), b: memoryOf(run, b, bStride) }
  const all = Math.ceil(K / depthFor(run))
  const slices = bias || unsplit ? all : slicesPerSplit(run, factors, { M, N, K, layers: batches }) // of a split; the last may have fewer, and none is empty
  const layers = Math.ceil(all / slices) * batches
  const stored = layers > batches ? 'f32' : dtype // parts are
  const memory = { ...factors, y: memoryOfY(N, M * N, stored) }
  const [y] = runTiled(
    run,
    productFor({ transA, transB, ...memory, columns: null, whole: K % 32 === 0 }),
    { M, N, K, layers },
    {
      reads: [a, b, bias ?? b],
      makes: [{ shape: [layers / batches, ...shape], dtype: stored }],
      params: { K, aStride, bStride, biased: bias ? 1 : 0, batches, slices },
    },
  )
  return storedAs(run, dtype, sumSplits(run, y, shape))
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
      columns: 'moments',
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

/** Whether the sum of a [M, K] times b [N, K], transposed, would be split. */
export function splitsGemm(run: Run, a: Tensor, b: Tensor): boolean {
  const { M, N, K } = productShape(a.shape, b.shape, { transB: true })
  const factors = { a: memoryOf(run, a, K), b: memoryOf(run, b, K) }
  return slicesPerSplit(run, factors, { M, N, K, layers: 1 }) < Math.ceil(K / depthFor(run))
}

/** a [M, K] times b [N, K], transposed, on a GPU whose tiles sum for a batch norm, in f16. */
export function gemmNormSums(run: Run, a: Tensor, b: Tensor, reader: NormReader): NormGradient {
  const { M, N, K, shape } = productShape(a.shape, b.shape, { transB: true })
  const { mask: columns, reads, params, constants } = normDispatch(reader)
  const memory = { a: memoryOf(run, a, K), b: memoryOf(run, b, K), y: 'f16x4' as const }
  const [dz, sums] = runTiled(
    run,
    productFor({ transA: false, transB: true, ...memory, columns, whole: K % 32 === 0 }),
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
