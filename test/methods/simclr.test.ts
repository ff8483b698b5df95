import type { ViewOf } from '../../methods/views.ts'
import * as assert from 'uvu/assert'
import type { Tensor } from '../../kernels/op.ts'
import { add } from '../../kernels/elementwise/add.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { reshape } from '../../kernels/shape/reshape.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { LossScaler } from '../../engine/optim/loss-scaler.ts'
import { Adam } from '../../engine/optim/optimizer.ts'
import { constant } from '../../engine/optim/schedule.ts'
import { simclr } from '../../methods/simclr.ts'
import { Builder } from '../../models/builder.ts'
import type { Model } from '../../models/model.ts'
import { projectionHead } from '../../models/heads.ts'
import { close, random } from '../fixtures/check.ts'
import { Golden } from '../fixtures/golden.ts'
import { followsGolden } from '../fixtures/golden-training.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('SimCLR')

for (const [name, chunk] of [
  ['train_tiny_adam_20', null],
  ['train_tiny_sgd_nobn_20', null],
  ['train_tiny_sgd_nobn_20', 3], // without batch norm, chunks change nothing
] as const) {
  const how = chunk === null ? '' : `, in chunks of ${chunk}`
  test(`${name}: follows the original loop for 20 steps${how}`, ({ gpu }) =>
    followsGolden(gpu, new Golden(name), { chunk }))
}

/** An encoder of one linear layer over flattened images, and a head, for toys. */
function toy(gpu: Gpu, seed: number) {
  const build = new Builder(gpu, seed)
  const layer = build.linear('0', [8 * 8 * 3, 32])
  const norm = build.norm('1', 32)
  const encoder: Model = {
    parameters: build.parameters,
    norms: build.norms,
    features: 32,
    forward: (x, mode) => relu(norm(layer(reshape(x, [x.shape[0] ?? 0, -1]), mode), mode)),
  }
  return { encoder, head: projectionHead(gpu, { features: 32, hidden: 16, dim: 8, seed }) }
}

for (const statistics of ['per-view', 'joint'] as const) {
  test(`learns to ignore what the augmentation changes, batch norm ${statistics}`, async ({
    gpu,
  }) => {
    // an image's red channel is its identity; green and blue are drawn anew in every view
    const { encoder, head } = toy(gpu, 1)
    const parameters = { ...encoder.parameters, ...head.parameters }
    let draw = 0
    const noisy = (x: Tensor) => {
      const noise = random(N * 192, ++draw).map((v, i) => (i % 3 === 0 ? 0 : v))
      return add(x, gpu.tensor(noise, x.shape))
    }
    const N = 32
    const { step } = simclr(gpu, {
      encoder,
      head,
      optimizer: new Adam(parameters),
      schedule: constant(1e-2),
      temperature: 0.2,
      batchNorm: statistics,
      views: noisy,
    })
    const losses: number[] = []
    for (let s = 0; s < 100; s++) {
      const images = random(N * 192, 1000 + s).map((v, i) => (i % 3 === 0 ? v : 0))
      losses.push((await gpu.read(step(gpu.tensor(images, [N, 8, 8, 3]))))[0] ?? NaN)
    }
    const mean = (xs: number[]) => xs.reduce((a, b) => a + b) / xs.length
    const [start, end] = [mean(losses.slice(0, 5)), mean(losses.slice(-5))]
    assert.ok(end < 0.6 * start, `loss went from ${start} to ${end}`)
  })
}

test('two images are enough, and one is refused in words', async ({ gpu }) => {
  const make = () => {
    const { encoder, head } = toy(gpu, 2)
    const optimizer = new Adam({ ...encoder.parameters, ...head.parameters })
    const views = (x: Tensor) => x
    return simclr(gpu, {
      encoder,
      head,
      optimizer,
      schedule: constant(1e-3),
      temperature: 0.5,
      batchNorm: 'per-view',
      views,
    })
  }
  const batch = (N: number) => gpu.tensor(random(N * 192), [N, 8, 8, 3])
  assert.ok(Number.isFinite((await gpu.read(make().step(batch(2))))[0]))
  assert.throws(() => make().step(batch(1)), /batchNorm: .*more than one value per channel/i)
})

test('a scaled loss trains to the same losses', async ({ gpu }) => {
  const runs = []
  for (const scaler of [null, new LossScaler(gpu, { scale: 4096 })]) {
    const { encoder, head } = toy(gpu, 3)
    const optimizer = new Adam({ ...encoder.parameters, ...head.parameters })
    const views = (_: Tensor, { step, view }: ViewOf) =>
      gpu.tensor(random(8 * 192, 7 + step() * 2 + view), [8, 8, 8, 3])
    const settings = {
      encoder,
      head,
      optimizer,
      schedule: constant(1e-2),
      temperature: 0.5,
      views,
    } as const
    const { step } = simclr(gpu, { ...settings, batchNorm: 'joint', ...(scaler ? { scaler } : {}) })
    const losses: number[] = []
    for (let i = 0; i < 4; i++) losses.push(...(await gpu.read(step(gpu.tensor([], [0])))))
    runs.push(losses)
  }
  close(runs[1] ?? [], runs[0] ?? [], 1e-6, 'losses') // powers of two change no digit, save where numbers underflow
})

test.run()
