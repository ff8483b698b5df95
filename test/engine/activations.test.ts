// Images stored in f16: who stores them so, what other ops get, and what training makes of it.

import * as assert from 'uvu/assert'
import { batchNorm } from '../../kernels/norm/batch-norm.ts'
import { convNorm } from '../../kernels/conv/conv-norm.ts'
import { conv2d } from '../../kernels/conv/conv2d.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { crossEntropy } from '../../kernels/loss/cross-entropy.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import type { Tensor } from '../../kernels/op.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { LossScaler } from '../../engine/optim/loss-scaler.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { resnet18 } from '../../models/resnet.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('activations')

const shape = [2, 4, 4, 4]

test('convolutions store f16, what follows them too, and f32 is what other ops get', async ({
  gpu: host,
}) => {
  const gpu = new Gpu(host.device, { activations: 'f16' })
  const x = gpu.tensor(random(128, 1), shape)
  const w = gpu.tensor(random(64, 2), [1, 1, 4, 16])
  const odd = gpu.tensor(random(12, 3), [1, 1, 4, 3])
  assert.is(relu(x).dtype, 'f32', 'no convolution came before')
  assert.is(conv2d(x, odd).dtype, 'f32', 'three channels')
  const z = conv2d(x, w)
  const y = relu(z)
  assert.equal([z.dtype, y.dtype], ['f16', 'f16'])
  const squares = mul(y, y)
  assert.is(squares.dtype, 'f32')
  const [got, squared] = [await gpu.read(y), await gpu.read(squares)]
  for (const [i, v] of got.entries()) assert.is(squared[i], Math.fround(v * v))
  const gradients = gpu.backward(sum(squares), undefined, { of: [x, w, z, y] })
  assert.equal(
    [x, w, z, y].map((t) => gradients.of(t)?.dtype),
    ['f32', 'f32', 'f16', 'f16'],
  )
  const dy = await gpu.read(gradients.of(y) ?? x)
  for (const [i, v] of got.entries())
    assert.ok(Math.abs((dy[i] ?? NaN) - 2 * v) <= 2 ** -10 * Math.abs(v), `${i}`) // two parts, and their sum
  const ones = await gpu.read(gpu.backward(z).of(z) ?? x)
  assert.ok(ones.every((v) => v === 1))
  gpu.destroy()
})

test('it makes no difference whether a gradient is asked for', async ({ gpu: host }) => {
  const gpu = new Gpu(host.device, { activations: 'f16' })
  const { forward } = resnet18(gpu, { width: 4 })
  const x = gpu.tensor(random(2 * 8 * 8 * 3, 3), [2, 8, 8, 3])
  const one = await gpu.read(forward(x, { training: true }))
  const other = await gpu.read(gpu.noGrad(() => forward(x, { training: true })))
  assert.equal([...other], [...one])
  gpu.destroy()
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
  const [[first = NaN], [rounded = NaN]] = [exact.losses, halves.losses]
  assert.ok(Math.abs(rounded - first) <= 1e-2 * first, `${rounded}, ${first} in f32`) // as with AMP
  assert.is.not(halves.losses[0], exact.losses[0])
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
  assert.equal(results[1], results[0])
  gpu.destroy()
})

test('a gradient beyond the range of f16 is not finite, and skips the step of a loss scaler', async ({
  gpu: host,
}) => {
  for (const [scale, skips] of [
    [1, false],
    [2 ** 24, true],
  ] as const) {
    const gpu = new Gpu(host.device, { activations: 'f16' })
    const w = gpu.variable(random(64, 2), [1, 1, 4, 16])
    const v = gpu.variable(random(16, 4), [1, 1, 16, 1])
    const optimizer = new Sgd({ w, v })
    const scaler = new LossScaler(gpu, { scale })
    const x = gpu.tensor(random(128, 1), shape)
    const before = await gpu.read(w)
    gpu.step(() => {
      const loss = sum(conv2d(conv2d(x, w), v))
      optimizer.step(gpu.backward(loss, scaler.scale), 0.1, scaler)
    })
    const after = await gpu.read(w)
    assert.is(
      after.every((value, i) => value === before[i]),
      skips,
      `${scale}`,
    )
    assert.equal([...(await gpu.read(scaler.scale))], [skips ? scale / 2 : scale])
    gpu.destroy()
  }
})

test('other activations are refused in words', ({ gpu }) => {
  refuses(
    () => new Gpu(gpu.device, { activations: 'bf16' as 'f16' }),
    "Gpu: activations must be 'f32' or 'f16', got 'bf16'; did you mean 'f16'?",
  )
})

test.run()
