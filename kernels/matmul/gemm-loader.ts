// The WGSL of a matrix product, batched or not, in tiles (mainloop.ts).

import { wgsl } from '../op.ts'
import { type FinishKind, finishName, readsOther } from '../wgsl/finish.ts'
import {
  type BufferFormat,
  type Columns,
  type Loader,
  columnsName,
  element,
  store4,
} from '../tiles/loader.ts'
import { finishSnippet } from '../tiles/finish.ts'
import { matrixSide } from '../tiles/matrix-side.ts'
import { momentsBinding } from '../tiles/epilogue-moments.ts'
import { type TiledProduct, planTiles } from '../tiles/plan.ts'

/** What a text depends on: the transposes, and how buffers are bound. */
interface GemmForm {
  readonly transA: boolean
  readonly transB: boolean
  readonly a: BufferFormat
  readonly b: BufferFormat
  readonly y: BufferFormat
  /** What is stored of y's columns, too. */
  readonly columns: Columns
  /** The last step, without `columns`; without one there may be a bias. */
  readonly finish: FinishKind
  /** Whether K is a multiple of every mma's k per slice. */
  readonly whole: boolean
}

/** The entry point, the bindings behind the factors, and what the epilogue is made of. */
function outputs({ columns, finish, y }: GemmForm) {
  const made = wgsl`var<storage, read_write> y:    array<${element(y)}>; // [splits, batches, M, N]`
  if (columns === null || columns === 'moments')
    return {
      name: columns ? wgsl`gemmMomentsTiled` : wgsl`gemm${finishName(finish)}Tiled`,
      more: columns,
      bindings: wgsl`
    ${readsOther(finish) ? wgsl`` : wgsl`@group(0) @binding(2) var<storage, read>       bias: array<f32>;           // [N], if biased`}
    @group(0) @binding(3) ${made}
    @group(0) @binding(${columns ? wgsl`5` : wgsl`4`}) var<uniform>             p:    Params;
    ${columns ? momentsBinding(wgsl`4`) : wgsl``}
    ${finish ? finishSnippet(finish, wgsl`2`, y) : wgsl``}`,
      end: plainEnd(finish),
    }
  return {
    name: wgsl`gemmNormTiled`,
    more: 'norm sums' as const,
    bindings: wgsl`
    @group(0) @binding(6) ${made}
    @group(0) @binding(8) var<uniform>             p:    Params;
    ${columns.bindings}`,
    end: wgsl`
    fn exists(row: u32, column: u32) -> bool { return row < p.M && column < p.N; }
    fn placeOf4(row: u32, column: u32) -> u32 { return (row * p.N + column) / 4u; }
    fn chunkOf(row: u32) -> u32 { return row / 64u; }
    fn chunkCount() -> u32 { return (p.M + 63u) / 64u; }
    fn epilogue(row: u32, column: u32, sums: vec4f) {
      if (exists(row, column)) { store4(row * p.N + column, p.N - column, sums); }
    }
    fn storesSums() -> bool { return p.biased == 0u; }`,
  }
}

/** The epilogue without sums of y's columns: the bias, or else the last step. */
const plainEnd = (finish: FinishKind) => wgsl`
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
      store4(at, p.N - column, ${finish ? wgsl`finish(at, p.N - column, numbers)` : wgsl`numbers`});
    }
    fn storesSums() -> bool { return ${finish ? wgsl`false` : wgsl`p.biased == 0u`}; }`

function loader(form: GemmForm): Loader {
  const { transA, transB, a, b, y, whole } = form
  const { name, more, bindings, end } = outputs(form)
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
    ${end}
    fn storeOffset(z: u32, row: u32, column: u32) -> u32 { return (z * p.M * p.N + row * p.N + column) / 4u; }
  `,
  }
}

const products = new Map<string, TiledProduct>()

/** The product of a form, assembled on first use. */
export function gemmProduct(form: GemmForm): TiledProduct {
  const key = Object.values({ ...form, columns: columnsName(form.columns) }).join()
  const { transA, transB, columns, finish } = form
  const beside = columns === null ? '' : columns === 'moments' ? ' with moments' : ' with norm sums'
  const ways = `${transA ? 't' : 'n'}${transB ? 't' : 'n'}${beside}${finish ? `, ${finish}` : ''}`
  const product = products.get(key) ?? planTiles(`gemm ${ways}`, loader(form))
  products.set(key, product)
  return product
}
