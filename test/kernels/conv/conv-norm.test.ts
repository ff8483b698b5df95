import * as assert from 'uvu/assert'
import { batchNorm } from '../../../kernels/norm/batch-norm.ts'
import { batchStats } from '../../../kernels/norm/batch-stats.ts'
import { convNorm } from '../../../kernels/conv/conv-norm.ts'
import { conv2d } from '../../../kernels/conv/conv2d.ts'
import { convForward, convForwardMoments } from '../../../kernels/conv/forward.ts'
import type { Shape, Tensor } from '../../../kernels/op.ts'
import { tilesFor } from '../../../kernels/tiles/plan.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { batchNormReference } from '../../fixtures/batch-norm-reference.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { type ConvLayer, convolution, outOf, weightOf } from '../../fixtures/convolution.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { needing } from '../../fixtures/needing.ts'
import { refuses } from '../../fixtures/refusal.ts'
import { type Engine, engines, gpuRun } from '../../fixtures/rounding.ts'

const [test, full] = quickAndFull(gpuSuite('convNorm'))
const onF16 = needing('shader-f16', test, full)

/** Registers what an engine claims. */
const by = (name: string) => (name === 'f32' ? full : onF16)

// Below, at and above the 32 rows of a chunk and the tile of 32 x 32; odd sizes; a matrix product;
// strides.
const layers: readonly ConvLayer[] = [
  { x: [1, 3, 3, 3], w: [3, 3, 5], padding: 1 },
  { x: [2, 4, 4, 4], w: [3, 3, 32], padding: 1 },
  { x: [3, 5, 7, 4], w: [3, 3, 36], padding: 1, stride: 2 },
  { x: [3, 5, 7, 8], w: [1, 1, 12] },
]

/** Compares every layer with convolution and normalisation in float64, gradients included. */
async function equalsFloat64(gpu: Gpu) {
  for (const layer of layers) {
    const { stride = 1, padding = 0 } = layer
    const K = layer.w[2]
    const [convolved, normal] = [convolution(layer), batchNormReference(K)]
    await checkOp(
      gpu,
      (x, w, gamma, beta, residual) =>
        convNorm(x, w, gamma, beta, null, {
          training: true,
          relu: true,
          residual,
          stride,
          padding,
        }),
      (x, w, gamma, beta, residual) =>
        normal(convolved(x, w), gamma, beta).map((v, i) => Math.max(v + (residual[i] ?? NaN), 0)),
      [layer.x, weightOf(layer), [K], [K], outOf(layer)],
    )
  }
}

test('equals convolution and normalisation in float64, gradients included', ({ gpu }) =>
  equalsFloat64(gpu))

full('equals them by the kernels of a GPU', async ({ gpu }) => {
  const guest = new Gpu(gpu.device, { kernels: 'gpu' })
  await equalsFloat64(guest)
  await guest.sync()
  guest.destroy()
})

/** Mean and 1 / deviation of every channel, in float64. */
function statistics(y: readonly number[], K: number) {
  const columns = Array.from({ length: K }, (_, k) => y.filter((__, i) => i % K === k))
  const means = columns.map((column) => column.reduce((a, b) => a + b, 0) / column.length)
  const deviations = columns.map((column, k) =>
    Math.sqrt(column.reduce((a, b) => a + (b - (means[k] ?? NaN)) ** 2, 0) / column.length + 1e-5),
  )
  return [...means, ...deviations.map((d) => 1 / d)]
}

/** Mean and 1 / deviation of what `batchStats` gives. */
const read = async (gpu: Gpu, stats: Tensor) =>
  (await gpu.read(stats)).subarray(0, 2 * (stats.shape[2] ?? NaN))

/** A convolution and its statistics as an engine finds them in one of its tiles. */
async function found(gpu: Gpu, engine: Engine, layer: ConvLayer, way: number) {
  const { stride = 1, padding = 0 } = layer
  const [run, shape] = [gpuRun(gpu, engine, way), weightOf(layer)]
  const steps = { stride: [stride, stride], padding: [padding, padding] } as const
  const count = (s: Shape) => s.reduce((a, b) => a * b, 1)
  // a mean far from zero, which sums of squares would not survive
  const x = gpu.tensor(
    random(count(layer.x), 1).map((v) => Math.fround(v / 64 + 1)),
    layer.x,
  )
  const w = gpu.tensor(
    random(count(shape), 2).map((v) => Math.fround(v / 64 + 1)),
    shape,
  )
  const { y, moments } = convForwardMoments(run, x, w, outOf(layer), steps)
  assert.ok(moments, 'moments')
  const stats = batchStats(
    run,
    y,
    null,
    { eps: 1e-5, momentum: 0.1, splits: 1, inTurn: false },
    moments,
  )
  return { run, x, w, steps, stats: await read(gpu, stats), y: await gpu.read(y) }
}

// Every text of every engine, but as few pipelines as that takes: emulated matrices take long to
// compile.
for (const [name, ways] of [
  ['f32', [0, 1, 2, 3, 4]],
  ['f16 in registers', [3, 4]],
  ['f16 on matrices', [0, 2]],
  ['f16x3 on matrices', [2]],
] as const)
  by(name)(
    `${name}: every tile finds the same moments, bit for bit, and the right ones`,
    async ({ gpu }) => {
      if (name === 'f32') assert.is(tilesFor(gpuRun(gpu, engines.f32)).length, ways.length)
      for (const layer of name === 'f32' ? layers : layers.slice(2, 3)) {
        let first: Float32Array[] | null = null
        for (const way of ways) {
          const { y, stats, run, x, w, steps } = await found(gpu, engines[name], layer, way)
          first ??= [y, stats]
          assert.equal([y, stats], first, `tile ${way}`)
          close(
            stats,
            statistics([...y], layer.w[2]),
            1e-5,
            `statistics of ${JSON.stringify(layer)}`,
          )
          if (way !== ways.at(-1)) continue
          const alone = await gpu.read(convForward(run, x, w, outOf(layer), steps))
          assert.equal(y, alone, 'y as a convolution alone gives it')
        }
      }
    },
  )

for (const C of [3, 8])
  test(`many chunks of ${C} channels are merged in two stages`, async ({ gpu }) => {
    const [chunks, last] = [1100, 5] // rows of the last chunk
    const M = (chunks - 1) * 32 + last
    const count = (chunk: number) => (chunk < chunks - 1 ? 32 : last)
    const [means, squares] = [random(chunks * C, 1), random(chunks * C, 2).map(Math.abs)]
    const expected = Array.from({ length: C }, (_, c) => {
      let [mean, deviations] = [0, 0]
      for (let k = 0; k < chunks; k++) mean += (count(k) * (means[k * C + c] ?? NaN)) / M
      for (let k = 0; k < chunks; k++)
        deviations +=
          (squares[k * C + c] ?? NaN) + count(k) * ((means[k * C + c] ?? NaN) - mean) ** 2
      return [mean, 1 / Math.sqrt(deviations / M + 1e-5)]
    })
    const x = gpu.tensor(new Float32Array(M * C), [M, C]) // of which only the shape counts
    const moments = gpu.tensor([...means, ...squares], [2, chunks, C])
    const stats = batchStats(
      gpu.run,
      x,
      null,
      { eps: 1e-5, momentum: 0.1, splits: 1, inTurn: false },
      moments,
    )
    close(
      await read(gpu, stats),
      [...expected.map(([m = NaN]) => m), ...expected.map(([, d = NaN]) => d)],
      1e-5,
      'stats',
    )
  })

test('gives what conv2d and batchNorm give, running statistics included', async ({ gpu }) => {
  const guest = new Gpu(gpu.device, { kernels: 'gpu' })
  for (const [training, padMode] of [
    [true, 'zeros'],
    [true, 'reflect'],
    [false, 'zeros'],
  ] as const) {
    const given = () => [
      guest.tensor(random(2 * 6 * 5 * 4, 1), [2, 6, 5, 4]),
      guest.tensor(random(9 * 4 * 8, 2), [3, 3, 4, 8]),
      guest.tensor(random(8, 3), [8]),
      guest.tensor(random(8, 4), [8]),
    ]
    const results = async ([x, w, gamma, beta]: Tensor[], fused: boolean) => {
      if (!x || !w || !gamma || !beta) return []
      const running = {
        mean: guest.variable(random(8, 5), [8]),
        variance: guest.variable(Array(8).fill(2), [8]),
      }
      const [where, how] = [{ padding: 1, padMode } as const, { training, relu: true }]
      const y = fused
        ? convNorm(x, w, gamma, beta, running, { ...where, ...how })
        : batchNorm(conv2d(x, w, where), gamma, beta, running, how)
      const gradients = guest.backward(y, guest.tensor(random(480, 6), y.shape))
      const all = [
        y,
        running.mean,
        running.variance,
        ...[x, w, gamma, beta].map((t) => gradients.of(t) ?? y),
      ]
      return Promise.all(all.map((t) => guest.read(t)))
    }
    const [one, two] = [await results(given(), true), await results(given(), false)]
    for (const [i, values] of two.entries()) close(one[i] ?? [], values, 1e-5, `result ${i}`)
  }
  await guest.sync()
  guest.destroy()
})

test('refuses what conv2d and batchNorm refuse', ({ gpu }) => {
  const t = (...shape: number[]) =>
    gpu.tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  const call = (C: number, K: number) => () =>
    convNorm(t(1, 3, 3, 2), t(3, 3, C, 4), t(K), t(4), null, { training: true, padding: 1 })
  refuses(call(3, 4), 'conv2d: channels differ, x [1, 3, 3, 2] has 2 and w [3, 3, 3, 4] takes 3')
  refuses(
    call(2, 3),
    'batchNorm: gamma must have one value per channel, got [3] for x [1, 3, 3, 4]',
  )
})

test.run()
