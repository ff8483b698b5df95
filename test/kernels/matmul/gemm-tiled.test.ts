// Tests the GPU kernels of matrix products, on any adapter, in every precision.

import * as assert from 'uvu/assert'
import { gemm } from '../../../kernels/matmul/gemm.ts'
import { tilesFor } from '../../../kernels/tiles/plan.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { random } from '../../fixtures/check.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { needing } from '../../fixtures/needing.ts'
import { type Engine, Sums, engines, gpuRun } from '../../fixtures/rounding.ts'

const [test, full] = quickAndFull(gpuSuite('gemm in tiles'))
const onF16 = needing('shader-f16', test, full)

/** Registers what an engine claims: f32's kernels compile quickly. */
const by = (name: string) => (name === 'f32' ? test : onF16)

interface Product {
  readonly size: readonly [batches: number, M: number, K: number, N: number]
  readonly transA?: boolean
  readonly transB?: boolean
  readonly biased?: boolean
}

function operands(
  gpu: Gpu,
  { size: [batches, M, K, N], transA = false, transB = false, biased }: Product,
) {
  const [a, b, bias] = [random(batches * M * K, 1), random(batches * K * N, 2), random(N, 3)]
  const options = { transA, transB, bias: biased ? gpu.tensor(bias, [N]) : null }
  const [left, right] = [transA ? [K, M] : [M, K], transB ? [N, K] : [K, N]]
  const stack = batches > 1 ? [batches] : []
  const tensors = [gpu.tensor(a, [...stack, ...left]), gpu.tensor(b, [...stack, ...right])] as const
  const sums = new Sums(batches * M * N)
  for (let batch = 0; batch < batches; batch++)
    for (let m = 0; m < M; m++)
      for (let n = 0; n < N; n++) {
        const at = (batch * M + m) * N + n
        if (biased) sums.add(at, bias[n], 1)
        for (let k = 0; k < K; k++)
          sums.add(
            at,
            a[batch * M * K + (transA ? k * M + m : m * K + k)],
            b[batch * K * N + (transB ? n * K + k : k * N + n)],
          )
      }
  return { tensors, options, sums, terms: K + Number(biased ?? false) }
}

async function check(gpu: Gpu, engine: Engine, product: Product) {
  const { tensors, options, sums, terms } = operands(gpu, product)
  const y = gemm(gpuRun(gpu, engine), ...tensors, options)
  sums.check(await gpu.read(y), engine, terms, JSON.stringify(product))
}

for (const [name, engine] of Object.entries(engines)) {
  by(name)(`${name}: odd sizes, in batches`, async ({ gpu }) => {
    await check(gpu, engine, { size: [1, 1, 1, 1] })
    await check(gpu, engine, { size: [1, 67, 21, 35] })
    await check(gpu, engine, { size: [3, 5, 37, 7] })
  })

  by(name)(
    `${name}: below, at and above the tile, both transposed, the sum in parts`,
    async ({ gpu }) => {
      const trans = { transA: true, transB: true }
      await check(gpu, engine, { size: [1, 16, 8, 12], ...trans })
      await check(gpu, engine, { size: [1, 64, 32, 64], ...trans })
      await check(gpu, engine, { size: [1, 68, 36, 132], ...trans })
      await check(gpu, engine, { size: [2, 36, 604, 40], ...trans })
    },
  )
}

for (const [name, engine] of Object.entries(engines))
  by(name)(
    `${name}: NaN and infinity reach the sums that they are factors of, and no others`,
    async ({ gpu }) => {
      const [M, K, N] = [67, 21, 35]
      for (const [bad, of] of [
        [NaN, 'a'],
        [NaN, 'b'],
        [Infinity, 'a'],
        [-Infinity, 'b'],
      ] as const) {
        const [a, b] = [random(M * K, 1), random(K * N, 2)]
        if (of === 'a') a[40 * K + 3] = bad
        else b[3 * N + 20] = bad
        const y = gemm(gpuRun(gpu, engine), gpu.tensor(a, [M, K]), gpu.tensor(b, [K, N]), {})
        const got = [...(await gpu.read(y))]
        const reached = (e: number) => (of === 'a' ? Math.floor(e / N) === 40 : e % N === 20)
        assert.equal(
          got.map((v) => !Number.isFinite(v)),
          got.map((_, e) => reached(e)),
          `${bad} in ${of}`,
        )
        if (Number.isNaN(bad)) assert.ok(got.every((v, e) => Number.isNaN(v) === reached(e)))
      }
    },
  )

test('f32: a sum in many parts', async ({ gpu }) => {
  await check(gpu, engines.f32, { size: [1, 8, 4700, 12], transA: true, transB: true })
  await check(gpu, engines.f32, { size: [1, 3, 4701, 5], transA: true, transB: true })
})

full('f32: one transposed, with a bias or without', async ({ gpu }) => {
  await check(gpu, engines.f32, { size: [1, 33, 12, 20], transB: true, biased: true })
  await check(gpu, engines.f32, { size: [1, 32, 20, 44], transA: true })
})

for (const name of ['f32', 'f16 on matrices'] as const)
  (name === 'f32' ? full : onF16)(`${name}: every tile gives the same bits`, async ({ gpu }) => {
    const { tensors, options, sums, terms } = operands(gpu, {
      size: [1, 136, 40, 148],
      transA: true,
      transB: true,
    })
    const bits = new Set<string>()
    for (const way of tilesFor(gpuRun(gpu, engines[name])).keys()) {
      const y = await gpu.read(gemm(gpuRun(gpu, engines[name], way), ...tensors, options))
      sums.check(y, engines[name], terms, `tile ${way}`)
      bits.add(y.join())
    }
    assert.is(bits.size, 1)
  })

test.run()
