// Matrix product on a GPU, batched, in tiles (see tile.ts). The sum is split where there are too few tiles to occupy the device.

import { type Run, type Tensor, wgsl } from '../op.ts'
import { type Gemm, productShape } from './shapes.ts'
import { sumSplits } from '../wgsl/sum-splits.ts'
import { type Family, element, four, isWhole, put } from '../tiles/tile.ts'
import { momentsBinding, momentsShape } from '../tiles/epilogue-moments.ts'
import { type Tiled, depthFor, partsFor, runTiled, tiled } from '../tiles/plan.ts'

/** What differs between products: which way the factors lie, and which buffers can be bound as vec4s. */
interface Form {
  readonly transA: boolean
  readonly transB: boolean
  readonly a: boolean
  readonly b: boolean
  readonly y: boolean
  readonly moments: boolean
}

const family = ({ transA, transB, a, b, y, moments }: Form): Family => ({
  name: moments ? wgsl`gemmMomentsTiled` : wgsl`gemmTiled`,
  along: { a: !transA, b: transB },
  whole: y,
  moments,
  code: wgsl`
    struct Params {
      M: u32, N: u32, K: u32, aStride: u32, bStride: u32, biased: u32, batches: u32, slices: u32
    }
    @group(0) @binding(0) var<storage, read>       a:    array<${element(a)}>; // [batches, M, K] or [batches, K, M]
    @group(0) @binding(1) var<storage, read>       b:    array<${element(b)}>; // [batches, K, N] or [batches, N, K]
    @group(0) @binding(2) var<storage, read>       bias: array<f32>;           // [N], if biased
    @group(0) @binding(3) var<storage, read_write> y:    array<${element(y)}>; // [parts, batches, M, N]
    @group(0) @binding(${moments ? wgsl`5` : wgsl`4`}) var<uniform>             p:    Params;
    ${moments ? momentsBinding(wgsl`4`) : wgsl``}
    ${four(wgsl`a`, a)}
    ${four(wgsl`b`, b)}
    ${put(y)}
    alias Place = u32; // k
    alias RowA = u32;
    alias RowB = u32;
    var<private> first: u32 = 0u; // k of this part
    var<private> aFrom: u32 = 0u;
    var<private> bFrom: u32 = 0u;
    var<private> yFrom: u32 = 0u;

    fn enter(z: u32) {
      let part = z / p.batches;
      let batch = z - part * p.batches;
      first = part * p.slices * depth;
      aFrom = batch * p.M * p.K;
      bFrom = batch * p.K * p.N;
      yFrom = z * p.M * p.N;
    }
    fn steps(z: u32) -> u32 {
      let all = (p.K + depth - 1u) / depth;
      return min(p.slices, all - z / p.batches * p.slices);
    }
    fn place(k: u32) -> Place { return first + k; }
    fn next(at: Place) -> Place { return at + depth; }
    fn beside(at: Place) -> Place { return at + 1u; }
    fn rowA(row: u32) -> RowA { return row; }
    fn rowB(column: u32) -> RowB { return column; }
    fn loadA(row: RowA, k: Place) -> vec4f {
      let outer = select(k, row, aAlong);
      let inner = select(row, k, aAlong);
      let size = select(vec2u(p.K, p.M), vec2u(p.M, p.K), aAlong);
      return four_a(aFrom + outer * p.aStride + inner, 0, select(0, i32(size.y) - i32(inner), outer < size.x));
    }
    fn loadB(column: RowB, k: Place) -> vec4f {
      let outer = select(k, column, bAlong);
      let inner = select(column, k, bAlong);
      let size = select(vec2u(p.K, p.N), vec2u(p.N, p.K), bAlong);
      return four_b(bFrom + outer * p.bStride + inner, 0, select(0, i32(size.y) - i32(inner), outer < size.x));
    }
    fn finish(row: u32, column: u32, sums: vec4f) {
      if (row >= p.M || column >= p.N) { return; }
      var numbers = sums;
      if (p.biased == 1u) {
        for (var i = 0u; i < 4u; i++) { numbers[i] += bias[min(column + i, p.N - 1u)]; }
      }
      put(yFrom + row * p.N + column, p.N - column, numbers);
    }
    fn direct() -> bool { return p.biased == 0u; }
    fn start(z: u32, row: u32, column: u32) -> u32 { return (z * p.M * p.N + row * p.N + column) / 4u; }
  `,
})

const forms = new Map<string, Tiled>()

function formOf(form: Form): Tiled {
  const key = Object.values(form).join()
  const ways = `${form.transA ? 't' : 'n'}${form.transB ? 't' : 'n'}${form.moments ? ' with moments' : ''}`
  const found = forms.get(key) ?? tiled(`gemm ${ways}`, family(form))
  forms.set(key, found)
  return found
}

/** op(a) op(b) + bias as `gemm` computes it, for a GPU. */
export function gemmTiled(run: Run, a: Tensor, b: Tensor, options: Gemm): Tensor {
  const { transA = false, transB = false, bias = null, unsplit = false } = options
  const { batches, M, N, K, shape } = productShape(a.shape, b.shape, options)
  const [aStride, bStride] = [transA ? M : K, transB ? K : N]
  const whole = { a: aStride % 4 === 0, b: bStride % 4 === 0, y: isWhole(N, M * N) }
  const parts = bias || unsplit ? 1 : partsFor({ M, N, K, layers: batches })
  const all = Math.ceil(K / depthFor(run))
  const slices = Math.ceil(all / parts) // of a part; the last may have fewer, and none may have nothing
  const layers = Math.ceil(all / slices) * batches
  const [y] = runTiled(
    run,
    formOf({ transA, transB, ...whole, moments: false }),
    { M, N, K, layers },
    {
      reads: [a, b, bias ?? b],
      makes: [[layers / batches, ...shape]],
      params: { K, aStride, bStride, biased: bias ? 1 : 0, batches, slices },
    },
  )
  return sumSplits(run, y, shape)
}

/** a [M, K] times b [K, N], for a GPU, and the moments of its columns; null for these where the sum is split, as sums are not
 *  at hand there. */
export function gemmMoments(run: Run, a: Tensor, b: Tensor): { y: Tensor; moments: Tensor | null } {
  const { M, N, K, shape } = productShape(a.shape, b.shape, {})
  if (partsFor({ M, N, K, layers: 1 }) > 1) return { y: gemmTiled(run, a, b, {}), moments: null }
  const whole = { a: K % 4 === 0, b: N % 4 === 0, y: isWhole(N, M * N) }
  const [y, moments] = runTiled(
    run,
    formOf({ transA: false, transB: false, ...whole, moments: true }),
    { M, N, K, layers: 1 },
    {
      reads: [a, b, b],
      makes: [shape, momentsShape(M, N)],
      params: { K, aStride: K, bStride: N, biased: 0, batches: 1, slices: Math.ceil(K / depthFor(run)) },
    },
  )
  return { y, moments }
}
