// Tests activations in f16 or bits. The forward pass must give the same bits. Gradients may differ
// by no more than f16's rounding.

import * as assert from 'uvu/assert'
import { batchNorm } from '../../kernels/norm/batch-norm.ts'
import { convNorm } from '../../kernels/conv/conv-norm.ts'
import { conv2d } from '../../kernels/conv/conv2d.ts'
import { crossEntropy } from '../../kernels/loss/cross-entropy.ts'
import type { Tensor } from '../../kernels/op.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { Gpu } from '../../engine/gpu.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { resnet18 } from '../../models/resnet.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('activations')

interface Layer {
  readonly x: readonly [N: number, H: number, W: number, C: number]
  readonly w: readonly [size: number, K: number]
  readonly stride: number
  readonly splits: number
}

// Rows below, at and above the 16 of a thread; channels of the input by fours or not; a matrix
// product; splits.
const layers: readonly Layer[] = [
  { x: [1, 3, 3, 3], w: [3, 4], stride: 1, splits: 1 },
  { x: [2, 4, 4, 4], w: [3, 32], stride: 1, splits: 1 },
  { x: [4, 5, 7, 5], w: [3, 36], stride: 2, splits: 2 },
  { x: [3, 5, 7, 8], w: [1, 12], stride: 1, splits: 1 },
  { x: [6, 5, 5, 8], w: [3, 64], stride: 1, splits: 3 },
]

const count = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

const at = (values: ArrayLike<number>, i: number) => values[i] ?? NaN
const addTo = (values: Float64Array, i: number, more: number) =>
  void (values[i] = at(values, i) + more)

/** How far the gradients of x, w and gamma may be off, in float64, as each x is rounded to 2^-10 of
 *  it, and each x^ to 2^-10 of it or 2^-14; f32's own rounding is added as a part of the sums'
 *  terms. */
function bounds(
  layer: Layer,
  values: readonly (readonly number[])[],
  dy: readonly number[],
  y: ArrayLike<number>,
) {
  const [x = [], w = [], gamma = []] = values
  const {
    x: [N, H, W, C],
    w: [size, K],
    stride,
    splits,
  } = layer
  const pad = (size - 1) / 2
  const [outH, outW] = [Math.ceil(H / stride), Math.ceil(W / stride)]
  const image = outH * outW
  const rows = N * image
  const taps = function* (row: number) {
    const [n, i, j] = [Math.floor(row / image), Math.floor(row / outW) % outH, row % outW]
    for (let tap = 0; tap < size * size; tap++) {
      const [h, v] = [i * stride - pad + Math.floor(tap / size), j * stride - pad + (tap % size)]
      if (h < 0 || h >= H || v < 0 || v >= W) continue
      for (let c = 0; c < C; c++) yield [((n * H + h) * W + v) * C + c, (tap * C + c) * K] as const
    }
  }
  const z = new Float64Array(rows * K)
  for (let row = 0; row < rows; row++)
    for (const [from, to] of taps(row))
      for (let k = 0; k < K; k++) addTo(z, row * K + k, at(x, from) * at(w, to + k))

  const off = {
    x: new Float64Array(x.length),
    w: new Float64Array(w.length),
    gamma: new Float64Array(K),
  }
  const f32 = 2e-6
  for (let column = 0; column < splits * K; column++) {
    const [s, k] = [Math.floor(column / K), column % K]
    const all = Array.from({ length: rows }, (_, row) => row)
    const own = all.filter((row) => Math.floor(row / image) % splits === s)
    const sum = (of: (row: number) => number) => own.reduce((total, row) => total + of(row), 0)
    const mean = sum((row) => at(z, row * K + k)) / own.length
    const variance = sum((row) => (at(z, row * K + k) - mean) ** 2) / own.length
    const scale = 1 / Math.sqrt(variance + 1e-5)
    const normal = (row: number) => Math.abs(at(z, row * K + k) - mean) * scale
    const offNormal = (row: number) => 2 ** -10 * normal(row) + 2 ** -14
    const d = (row: number) => (at(y, row * K + k) > 0 ? Math.abs(at(dy, row * K + k)) : 0)
    const [ofD, products] = [sum(d), sum((row) => d(row) * normal(row))]
    const offProducts = sum((row) => d(row) * offNormal(row)) + f32 * products
    addTo(off.gamma, k, offProducts)
    for (const row of own) {
      const terms = d(row) + (ofD + normal(row) * products) / own.length
      const offTerms =
        (normal(row) * offProducts + offNormal(row) * (products + offProducts)) / own.length
      const slope = Math.abs(at(gamma, k)) * scale
      const [dz, offDz] = [slope * terms, slope * (offTerms + f32 * terms)]
      for (const [from, to] of taps(row)) {
        addTo(off.x, from, Math.abs(at(w, to + k)) * (offDz + f32 * dz))
        addTo(off.w, to + k, Math.abs(at(x, from)) * (offDz + (2 ** -10 + f32) * dz))
      }
    }
  }
  return off
}

function same<T>(got: ArrayLike<T> = [], expected: ArrayLike<T> = [], what: string) {
  assert.is(got.length, expected.length, what)
  for (let i = 0; i < expected.length; i++) assert.is(got[i], expected[i], `${what}[${i}]`)
}

for (const layer of layers)
  for (const beside of [false, true])
    test(`gradients of ${JSON.stringify(layer)}${beside ? ' beside a residual' : ''} are within what halves lose`, async ({
      gpu: host,
    }) => {
      const {
        x: [N, H, W, C],
        w: [size, K],
        stride,
        splits,
      } = layer
      const out = [N, Math.ceil(H / stride), Math.ceil(W / stride), K]
      const shapes = [layer.x, [size, size, C, K], [K], [K], ...(beside ? [out] : [])]
      const values = shapes.map((shape, i) => random(count(shape), i + 1))
      const dy = random(count(out), 99)
      const results: Float32Array[][] = []
      for (const activations of ['f32', 'f16'] as const) {
        const gpu = new Gpu(host.device, { activations })
        const tensors = values.map((v, i) => gpu.tensor(v, shapes[i] ?? []))
        const [x, w, gamma, beta, residual] = tensors as [Tensor, Tensor, Tensor, Tensor, Tensor?]
        const options = { training: true, relu: true, splits, stride, padding: (size - 1) / 2 }
        const y = convNorm(x, w, gamma, beta, null, { ...options, ...(residual && { residual }) })
        const gradients = gpu.backward(y, gpu.tensor(dy, y.shape))
        const all = [y, ...tensors.map((t) => gradients.of(t) ?? y)]
        results.push(await Promise.all(all.map((t) => gpu.read(t))))
        gpu.destroy()
      }
      const [exact = [], got = []] = results
      for (const [i, what] of ['y', '', '', '', 'dBeta', 'dResidual'].entries())
        if (what) same(got[i], exact[i], what)
      const off = bounds(layer, values, dy, exact[0] ?? [])
      let moved = 0
      for (const [i, name] of (['x', 'w', 'gamma'] as const).entries())
        for (const [j, bound] of off[name].entries()) {
          const error = Math.abs(at(got[i + 1] ?? [], j) - at(exact[i + 1] ?? [], j))
          assert.ok(error <= bound, `d${name}[${j}] is off by ${error}, at most ${bound} is due`)
          moved += Number(error > 0)
        }
      assert.ok(moved > 0, 'halves were used')
    })

test('relu keeps a bit for each number, and gives the same', async ({ gpu: host }) => {
  for (const size of [0, 1, 63, 64, 65, 2047, 2048, 2049, 5000]) {
    const x = random(size, 3).map((v, i) => [v, 0, -0, NaN, 1e-40, Infinity][i % 9] ?? v)
    const results = []
    for (const activations of ['f32', 'f16'] as const) {
      const gpu = new Gpu(host.device, { activations })
      const given = gpu.tensor(x, [size])
      const y = relu(given)
      const dx = gpu.backward(y, gpu.tensor(random(size, 4), [size])).of(given) ?? y
      results.push([
        ...Array.from(await gpu.read(y), String),
        ...Array.from(await gpu.read(dx), String),
      ])
      gpu.destroy()
    }
    same(results[1] ?? [], results[0], `${size} numbers`)
  }
})

/** A classifier of small images, trained for some steps. */
async function trained(gpu: Gpu, steps: number, replay: boolean) {
  const { parameters, forward } = resnet18(gpu, { width: 4, seed: 1 })
  const optimizer = new Sgd(parameters, { momentum: 0.9 })
  const captured = gpu.capture(
    (x: Tensor, labels: Tensor) => {
      const loss = crossEntropy(forward(x, { training: true }), labels)
      optimizer.step(gpu.backward(loss), () => 0.05)
      return loss
    },
    { replay },
  )
  const labels = Int32Array.from({ length: 8 }, (_, i) => i % 4)
  const x = gpu.tensor(random(8 * 32 * 32 * 3, 3), [8, 32, 32, 3])
  const losses: number[] = []
  for (let s = 0; s < steps; s++)
    losses.push(...(await gpu.read(captured.run(x, { values: labels, shape: [8] }))))
  return { losses, bytes: captured.memory?.bytes ?? NaN }
}

test('a ResNet learns alike in some six tenths of the memory, captured as one by one', async ({
  gpu: host,
}) => {
  const run = async (activations: 'f32' | 'f16', replay: boolean) => {
    const gpu = new Gpu(host.device, { activations })
    const result = await trained(gpu, 12, replay)
    gpu.destroy()
    return result
  }
  const exact = await run('f32', true)
  const halves = await run('f16', true)
  assert.equal(halves.losses, (await run('f16', false)).losses)
  assert.is(halves.losses[0], exact.losses[0], 'the first loss, before any gradient')
  assert.is.not(halves.losses[3], exact.losses[3])
  assert.ok((halves.losses.at(-1) ?? NaN) < 0.5 * (halves.losses[0] ?? NaN), halves.losses.join())
  assert.ok(halves.bytes < 0.7 * exact.bytes, `${halves.bytes} bytes, ${exact.bytes} in f32`)
})

test('a convolution and a batch norm one after the other keep the same', async ({ gpu: host }) => {
  const gpu = new Gpu(host.device, { activations: 'f16' })
  const values = [
    gpu.tensor(random(3 * 25 * 4, 1), [3, 5, 5, 4]),
    gpu.tensor(random(9 * 4 * 8, 2), [3, 3, 4, 8]),
    gpu.tensor(random(8, 3), [8]),
    gpu.tensor(random(8, 4), [8]),
  ] as const
  const [x, w, gamma, beta] = values
  const how = { training: true, relu: true }
  const dy = gpu.tensor(random(3 * 25 * 8, 99), [3, 5, 5, 8])
  const results: number[][] = []
  for (const y of [
    convNorm(x, w, gamma, beta, null, { padding: 1, ...how }),
    batchNorm(conv2d(x, w, { padding: 1 }), gamma, beta, null, how),
  ]) {
    const gradients = gpu.backward(y, dy)
    const all = await Promise.all(values.map((v) => gpu.read(gradients.of(v) ?? y)))
    results.push(all.flatMap((gradient) => [...gradient]))
  }
  same(results[1], results[0], 'gradients')
  gpu.destroy()
})

test('nothing is kept where no gradient is asked for', async ({ gpu: host }) => {
  const spent = (activations: 'f32' | 'f16') => {
    const gpu = new Gpu(host.device, { activations })
    const { forward } = resnet18(gpu, { width: 8 })
    const x = gpu.tensor(random(4 * 8 * 8 * 3, 3), [4, 8, 8, 3])
    gpu.noGrad(() => forward(x, { training: true }))
    const { dispatches, bytes } = gpu.stats()
    gpu.destroy()
    return [dispatches, bytes]
  }
  assert.equal(spent('f16'), spent('f32'))
})

test('other activations are refused in words', ({ gpu }) => {
  refuses(
    () => new Gpu(gpu.device, { activations: 'bf16' as 'f16' }),
    "Gpu: activations must be 'f32' or 'f16', got 'bf16'; did you mean 'f16'?",
  )
})

test.run()
