// Tests the GPU kernels of convolutions and their gradients, on any adapter, in every precision.

import { convWeightGradient } from '../../../kernels/conv/weight-gradient.ts'
import { conv2d } from '../../../kernels/conv/conv2d.ts'
import { linear } from '../../../kernels/matmul/linear.ts'
import { slice } from '../../../kernels/shape/slice.ts'
import { convForward, convDataGradient } from '../../../kernels/conv/forward.ts'
import { imageOf, storedAs } from '../../../kernels/wgsl/storage.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import * as assert from 'uvu/assert'
import { close, random } from '../../fixtures/check.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { needing } from '../../fixtures/needing.ts'
import { type Engine, Sums, engines, gpuRun } from '../../fixtures/rounding.ts'

const [test, full] = quickAndFull(gpuSuite('convolution in tiles'))
const onF16 = needing('shader-f16', test, full)
const quickOnF16 = needing('shader-f16', test)

/** Registers what an engine claims. */
const byEngine = (name: string) => (name === 'f32' ? full : onF16)

interface Layer {
  readonly x: readonly [N: number, H: number, W: number, C: number]
  readonly w: readonly [kH: number, kW: number, K: number]
  readonly stride?: readonly [number, number]
  readonly padding?: readonly [number, number]
  /** Which of the three are checked: y, dx, dw; all by default. */
  readonly of?: readonly ('y' | 'dx' | 'dw')[]
}

/** The three sums, pixel by pixel. */
function reference({ x: [N, H, W, C], w: [kH, kW, K], stride = [1, 1], padding = [0, 0] }: Layer) {
  const side = (size: number, kernel: number, i: 0 | 1) =>
    Math.floor((size + 2 * padding[i] - kernel) / stride[i]) + 1
  const [outH, outW] = [side(H, kH, 0), side(W, kW, 1)]
  const counts = { x: N * H * W * C, w: kH * kW * C * K, dy: N * outH * outW * K }
  const values = { x: random(counts.x, 1), w: random(counts.w, 2), dy: random(counts.dy, 3) }
  const sums = { y: new Sums(counts.dy), dx: new Sums(counts.x), dw: new Sums(counts.w) }
  for (let pixel = 0; pixel < N * outH * outW; pixel++) {
    const [n, i, j] = [
      Math.floor(pixel / outH / outW),
      Math.floor(pixel / outW) % outH,
      pixel % outW,
    ]
    for (let tap = 0; tap < kH * kW; tap++) {
      const [h, v] = [
        i * stride[0] - padding[0] + Math.floor(tap / kW),
        j * stride[1] - padding[1] + (tap % kW),
      ]
      if (h < 0 || h >= H || v < 0 || v >= W) continue
      for (let c = 0; c < C; c++)
        for (let k = 0; k < K; k++) {
          const [at, to, by] = [((n * H + h) * W + v) * C + c, pixel * K + k, (tap * C + c) * K + k]
          sums.y.add(to, values.x[at], values.w[by])
          sums.dx.add(at, values.dy[to], values.w[by])
          sums.dw.add(by, values.x[at], values.dy[to])
        }
    }
  }
  return {
    values,
    sums,
    out: [N, outH, outW, K],
    terms: { y: kH * kW * C, dx: kH * kW * K, dw: N * outH * outW },
  }
}

async function check(gpu: Gpu, engine: Engine, layer: Layer) {
  const { stride = [1, 1], padding = [0, 0], of = ['y', 'dx', 'dw'] } = layer
  const { values, sums, out, terms } = reference(layer)
  const [run, steps] = [gpuRun(gpu, engine), { stride, padding }]
  const shape = [layer.w[0], layer.w[1], layer.x[3], layer.w[2]]
  const image = (v: number[], like: readonly number[]) =>
    storedAs(run, imageOf(run, like).dtype, gpu.tensor(v, like))
  const [x, w, dy] = [image(values.x, layer.x), gpu.tensor(values.w, shape), image(values.dy, out)]
  const results = {
    y: () => convForward(run, x, w, out, steps),
    dx: () => convDataGradient(run, dy, w, x, steps),
    dw: () => convWeightGradient(run, x, dy, shape, steps),
  }
  const dtypes = { y: imageOf(run, out).dtype, dx: x.dtype, dw: 'f32' } as const
  for (const what of of) {
    const result = results[what]()
    const name = `${what} of ${JSON.stringify(layer)}`
    assert.is(result.dtype, dtypes[what], name)
    sums[what].check(await gpu.read(result), engine, terms[what], name, result.dtype)
  }
}

test('f32: channels in fours, every stride and padding', async ({ gpu }) => {
  for (const size of [1, 2, 3])
    for (const stride of [1, 2, 3])
      for (const padding of [0, 1, 2])
        await check(gpu, engines.f32, {
          x: [2, 7, 6, 4],
          w: [size, size, 8],
          stride: [stride, stride],
          padding: [padding, padding],
        })
})

test('f32: below, at and above the tile of 32 pixels by 32 channels', async ({ gpu }) => {
  await check(gpu, engines.f32, { x: [1, 1, 2, 4], w: [1, 2, 4], padding: [0, 1] })
  await check(gpu, engines.f32, { x: [2, 4, 4, 32], w: [3, 3, 32], padding: [1, 1] })
  await check(gpu, engines.f32, { x: [3, 5, 7, 12], w: [3, 3, 36], padding: [1, 1] })
})

full('f32: any number of channels, other steps along rows than along columns', async ({ gpu }) => {
  await check(gpu, engines.f32, { x: [1, 1, 1, 1], w: [1, 1, 1], padding: [1, 1] })
  await check(gpu, engines.f32, { x: [2, 9, 7, 3], w: [3, 2, 5], stride: [2, 1], padding: [1, 0] })
  await check(gpu, engines.f32, { x: [2, 5, 9, 2], w: [1, 4, 33], stride: [1, 3], padding: [2, 3] })
  await check(gpu, engines.f32, { x: [1, 4, 3, 1], w: [2, 2, 1], stride: [2, 50] })
})

full('f32: three channels, the stems of ResNet', async ({ gpu }) => {
  const of = ['y', 'dw'] as const // the images want no gradient
  await check(gpu, engines.f32, { x: [2, 8, 8, 3], w: [3, 3, 16], padding: [1, 1], of })
  await check(gpu, engines.f32, {
    x: [1, 20, 18, 3],
    w: [7, 7, 8],
    stride: [2, 2],
    padding: [3, 3],
    of,
  })
})

test('f32: slices that lie in one tap, and image rows that fill them', async ({ gpu }) => {
  await check(gpu, engines.f32, { x: [2, 5, 8, 32], w: [3, 3, 4], padding: [1, 1] })
  await check(gpu, engines.f32, { x: [3, 8, 4, 4], w: [3, 3, 32], stride: [2, 1], padding: [1, 1] })
  await check(gpu, engines.f32, {
    x: [2, 4, 16, 32],
    w: [2, 3, 32],
    stride: [1, 2],
    padding: [0, 1],
  })
})

full('f32: more taps than bits', async ({ gpu }) => {
  await check(gpu, engines.f32, { x: [2, 9, 8, 4], w: [7, 5, 4], padding: [3, 2] })
  await check(gpu, engines.f32, {
    x: [1, 8, 9, 32],
    w: [6, 6, 32],
    stride: [3, 2],
    padding: [2, 0],
  })
  await check(gpu, engines.f32, { x: [2, 9, 8, 3], w: [6, 6, 5], padding: [3, 2] })
})

test('f32: the weight gradient of many pixels, in parts', ({ gpu }) =>
  check(gpu, engines.f32, { x: [5, 12, 11, 4], w: [3, 3, 8], padding: [1, 1], of: ['dw'] }))

for (const name of ['f16 in registers', 'f16 on matrices', 'f16x3 on matrices'] as const)
  onF16(`${name}: strides, padding, a tile and more`, async ({ gpu }) => {
    const of = name === 'f16 on matrices' ? (['y', 'dx', 'dw'] as const) : (['y'] as const) // each takes seconds to compile
    await check(gpu, engines[name], { x: [2, 6, 7, 4], w: [3, 3, 8], padding: [1, 1], of })
    await check(gpu, engines[name], {
      x: [2, 6, 7, 12],
      w: [3, 2, 68],
      stride: [2, 2],
      padding: [1, 1],
      of,
    })
    await check(gpu, engines[name], {
      x: [4, 6, 4, 4],
      w: [2, 3, 64],
      stride: [1, 2],
      padding: [1, 0],
      of,
    })
    await check(gpu, engines[name], {
      x: [2, 6, 8, 32],
      w: [3, 3, 64],
      stride: [2, 1],
      padding: [1, 1],
      of,
    })
  })

/** Numbers that are f16s. */
const halves = (count: number, seed: number) =>
  Float32Array.from(random(count, seed), (v) => Math.round(v * 64) / 64)

for (const name of ['f32', 'f16 on matrices'] as const)
  byEngine(name)(
    `${name}: images in f16 give the bits of the same numbers in f32`,
    async ({ gpu }) => {
      const run = gpuRun(gpu, engines[name])
      for (const [C, K] of [
        [8, 16],
        [32, 64],
        [4, 12],
      ] as const) {
        const [shape, out, steps] = [
          [3, 3, C, K],
          [2, 6, 8, K],
          { stride: [1, 1], padding: [1, 1] },
        ] as const
        const w = gpu.tensor(random(9 * C * K, 2), shape)
        const results = [false, true].map((inF16) => {
          const image = (of: readonly number[], seed: number) => {
            const f32 = gpu.tensor(
              halves(
                of.reduce((a, b) => a * b),
                seed,
              ),
              of,
            )
            return inF16 ? storedAs(run, 'f16', f32) : f32
          }
          const [x, dy] = [image([2, 6, 8, C], 1), image(out, 3)]
          return [
            convForward(run, x, w, out, steps),
            convDataGradient(run, dy, w, { shape: x.shape, dtype: 'f32' }, steps),
            convWeightGradient(run, x, dy, shape, steps),
          ].map((t) => gpu.read(t))
        })
        const [expected = [], got = []] = await Promise.all(
          results.map((reads) => Promise.all(reads)),
        )
        for (const [i, what] of ['y', 'dx', 'dw'].entries())
          assert.equal(got[i], expected[i], `${what} of ${C} and ${K} channels`)
      }
    },
  )

// Below, at and above the tile; a matrix product, in parts or not; strides; images of f32 whose
// channels are no multiple of four.
for (const [name, engine] of Object.entries(engines))
  (name === 'f16 on matrices' ? quickOnF16 : byEngine(name))(
    `${name}: images stored in f16`,
    async ({ gpu }) => {
      const stored = { ...engine, activations: 'f16' } as const
      const padding = [1, 1] as const
      await check(gpu, stored, { x: [1, 1, 2, 4], w: [1, 2, 4], padding: [0, 1] })
      await check(gpu, stored, { x: [2, 6, 7, 12], w: [3, 2, 68], stride: [2, 2], padding })
      await check(gpu, stored, { x: [3, 5, 7, 3], w: [3, 3, 36], padding, of: ['y', 'dw'] })
      await check(gpu, stored, { x: [2, 5, 4, 8], w: [1, 1, 68] })
      await check(gpu, stored, { x: [1, 2, 2, 520], w: [1, 1, 8] })
    },
  )

test('a machine that computes as a GPU does differentiates as any other', async ({ gpu }) => {
  const guest = new Gpu(gpu.device, { kernels: 'gpu' })
  assert.is(guest.run.software, false)
  const [x, w] = [random(2 * 7 * 6 * 4, 1), random(9 * 4 * 8, 2)]
  const results = [gpu, guest].map((machine) => {
    const [image, weight] = [machine.tensor(x, [2, 7, 6, 4]), machine.tensor(w, [3, 3, 4, 8])]
    const y = conv2d(image, weight, { stride: 2, padding: 1 })
    const gradients = machine.backward(y)
    const [rows, w2, b] = [
      machine.tensor(x, [84, 4]),
      machine.tensor(w, [72, 4]),
      machine.tensor(w, [288]),
    ]
    const layer = linear(rows, w2, slice(b, 0, 0, 72))
    const cotangent = machine.tensor(random(84 * 72, 5), [84, 72])
    const db = machine.backward(layer, cotangent).of(b) ?? y
    return [y, gradients.of(image) ?? y, gradients.of(weight) ?? y, db].map((t) => machine.read(t))
  })
  const [expected = [], got = []] = await Promise.all(results.map((reads) => Promise.all(reads)))
  for (const [i, what] of ['y', 'dx', 'dw', 'db'].entries())
    close(got[i] ?? [], expected[i] ?? [], 1e-5, what)
  await guest.sync()
  guest.destroy()
})

test.run()
