// Tests every method in chunks: the gradient, the statistics and the state of the whole batch with
// the memory of a part.

import * as assert from 'uvu/assert'
import { augment } from '../../kernels/augment/augment.ts'
import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import { concat } from '../../kernels/shape/concat.ts'
import { indexSelect } from '../../kernels/shape/gather.ts'
import { l2Normalize } from '../../kernels/reduce/l2-normalize.ts'
import { shuffleOrder } from '../../kernels/state/shuffle-order.ts'
import type { Trainer } from '../../methods/entry.ts'
import { trainerOf } from '../../training/prepare.ts'
import { configOf } from '../../training/config.ts'
import { loadTrainer, saveTrainer } from '../../training/trainer-state.ts'
import { LossScaler } from '../../engine/optim/loss-scaler.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { variablesOf } from '../../models/state.ts'
import { forwardTower } from '../../models/tower.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'
import { EMBEDDING as D, apart, network } from '../fixtures/small-network.ts'
import { S, batch, makers, mocoOf, oneStep, pixels } from '../fixtures/chunked-methods.ts'

const test = gpuSuite('methods in chunks')

for (const [name, make] of Object.entries(makers)) {
  test(`${name}: without batch norm any chunk gives the batch's losses, gradient and state`, async ({
    gpu,
  }) => {
    const N = 7
    const whole = await oneStep(gpu, make, { normed: false }, N)
    assert.ok(Math.hypot(...whole.gradient) > 1e-3)
    for (const chunk of [1, 3, 4]) {
      const cut = await oneStep(gpu, make, { normed: false, chunk }, N)
      for (const what of ['losses', 'gradient', 'kept'] as const) {
        if (whole[what].length === 0) continue
        const error = apart(cut[what], whole[what])
        assert.ok(error < 2e-6, `chunk ${chunk}, ${what}: relative error ${error}`) // float32 sums in another order
      }
      const images = gpu.tensor(pixels(N), [N, S, S, 3])
      assert.equal(await oneStep(gpu, make, { normed: false, chunk }, N, images), cut)
      const set = gpu.variable(pixels(N), [N, S, S, 3])
      const indices = Int32Array.from({ length: N }, (_, n) => n)
      assert.equal(await oneStep(gpu, make, { normed: false, chunk }, N, { set, indices }), cut)
    }
  })

  test(`${name}: a chunk as large as the batch is the plain step, to the bit`, async ({ gpu }) => {
    const whole = await oneStep(gpu, make, { normed: true }, 6)
    for (const chunk of [6, 20])
      assert.equal(await oneStep(gpu, make, { normed: true, chunk }, 6), whole)
  })

  test(`${name}: with batch norm each chunk has its own statistics, moved once`, async ({
    gpu,
  }) => {
    const N = 8
    const edges = [[0, 2], [2, 5], [5, 8]] as const // prettier-ignore
    const want = await oneStep(gpu, make, { normed: true, edges }, N)
    const cut = await oneStep(gpu, make, { normed: true, chunk: 3 }, N)
    const error = apart(cut.gradient, want.gradient)
    assert.ok(error < 1e-5, `relative error ${error}`) // float32 sums in another order
    assert.equal(cut.statistics, want.statistics)
    assert.equal(cut.counts, want.counts)
    const whole = await oneStep(gpu, make, { normed: true }, N)
    assert.ok(
      apart(cut.gradient, whole.gradient) > 1e-2,
      'statistics of a chunk are not those of the batch',
    )
  })

  test(`${name}: replayed chunks with a scaled loss give the bits of chunks run one by one`, async ({
    gpu,
  }) => {
    const results = []
    for (const capture of [false, true]) {
      const scaler = capture ? { scaler: new LossScaler(gpu, { scale: 1024 }) } : {}
      const { step, captured, models, kept } = make(gpu, {
        normed: true,
        chunk: 3,
        capture,
        ...scaler,
      })
      const losses: Promise<Float32Array>[] = []
      for (let s = 0; s < 6; s++) losses.push(gpu.read(step(batch(7, s), 7)))
      const told = (await Promise.all(losses)).map((values) => [...values])
      assert.ok(
        captured.replays >= (capture ? 3 : 0),
        `${captured.replays} replays: ${captured.reason}`,
      )
      assert.ok(told.flat().every(Number.isFinite))
      const variables = [...models.flatMap((model) => Object.values(variablesOf(model))), ...kept]
      const counts = models.flatMap(({ norms }) => Object.values(norms).map((norm) => norm.batches))
      results.push([told, await Promise.all(variables.map((v) => gpu.read(v))), counts])
      captured.release()
    }
    assert.equal(results[1], results[0])
  })

  test(`${name}: memory grows with the batch by what the loss compares alone`, async ({
    gpu: { device },
  }) => {
    const bytesOf = async (N: number, chunk: number | null, capture: boolean) => {
      const gpu = new Gpu(device)
      const { step, bytes } = make(gpu, { normed: true, chunk, capture })
      for (let s = 0; s < 3; s++) await gpu.read(step(batch(N, s), N))
      const needed = capture ? bytes() : gpu.stats().bytes
      gpu.destroy()
      return needed
    }
    const compared = name === 'AMDIM' ? 1 + 25 + 49 : 1 // vectors of an image's view
    for (const capture of compared > 1 ? [false, true] : [true]) {
      const [few, many, whole] = [
        await bytesOf(16, 8, capture),
        await bytesOf(64, 8, capture),
        await bytesOf(64, null, capture),
      ]
      const embeddings = 2 * 48 * D * 4 * compared // bytes of 48 more images', in two views
      assert.ok(
        many - few <= 5 * embeddings,
        `${many - few} bytes more, of embeddings ${embeddings}`,
      )
      assert.ok(whole > (compared > 1 ? 3 : 5) * many, `${whole} bytes at once, ${many} in chunks`)
    }
  })
}

test('MoCo splits each chunk for batch norm, into chunks that the splits divide', async ({
  gpu,
}) => {
  const N = 28
  const edges = [[0, 12], [12, 28]] as const // prettier-ignore
  const how = { normed: true, splits: 4, shuffle: false }
  const want = await oneStep(gpu, mocoOf(true), { ...how, edges }, N)
  const cut = await oneStep(gpu, mocoOf(true), { ...how, chunk: 17 }, N)
  const error = apart(cut.gradient, want.gradient)
  assert.ok(error < 1e-5, `relative error ${error}`) // float32 sums in another order
  assert.equal(cut.statistics, want.statistics)
  assert.equal(cut.counts, want.counts)
  assert.ok(apart(cut.gradient, (await oneStep(gpu, mocoOf(true), how, N)).gradient) > 1e-2)
})

test('MoCo shuffles the keys within each chunk, each in another order', async ({ gpu }) => {
  const [N, n] = [16, 8]
  const { kept } = await oneStep(gpu, mocoOf(false), { normed: true, splits: 2, chunk: n }, N)
  const key = network(gpu, true)
  const mode = { training: true, splits: 2 }
  const keys = [0, n].map((offset) => {
    const images = gpu.tensor(pixels(N).slice(offset * S * S * 3, (offset + n) * S * S * 3), [
      n,
      S,
      S,
      3,
    ])
    const x = augment(images, cifarRecipe(S), { seed: 0, step: 0, view: 1, offset })
    const { order, inverse } = shuffleOrder(x, { seed: 0, step: 0, offset })
    return indexSelect(l2Normalize(forwardTower(key, indexSelect(x, 0, order), mode)), 0, inverse)
  })
  assert.equal(kept.slice(0, N * D), [...(await gpu.read(concat(keys, 0)))])
})

for (const [name, method, flags] of [
  ['SimCLR', 'simclr', { preset: 'simclr-demo', batchNorm: 'joint' }],
  ['MoCo', 'moco', { preset: 'moco-v2-demo', queue: 30, bnSplits: 2, symmetric: true }],
  ['MoCo v3', 'moco', { preset: 'moco-v3-demo' }],
  ['a memory bank', 'memory-bank', { preset: 'memory-bank-demo', loss: 'nce', negatives: 10 }],
  ['end-to-end', 'end-to-end', { preset: 'end-to-end-demo' }],
] as const)
  test(`${name}: a training in chunks goes on from a checkpoint to the same bits`, async ({
    gpu,
  }) => {
    const tiny = {
      data: 'procedural:48,20',
      model: 'resnet8',
      stem: 'imagenet',
      width: 2,
      batch: 12,
    }
    const config = configOf(method, { ...tiny, ...flags, chunk: 5 }, true)
    assert.is(config.chunk, 5)
    const images = { size: 48, labels: null, classes: [] }
    const begun = () => trainerOf(gpu, config, { stepsPerEpoch: 4, images, capture: true })
    const train = (trainer: Trainer, to: number) => {
      while (trainer.state.step < to) {
        const first = 12 * (trainer.state.step % 4)
        const values = Uint8Array.from(random(12 * 32 * 32 * 3, first), (v) => 127 * (v + 1))
        const indices = Array.from({ length: 12 }, (_, n) => first + n)
        trainer.step({ pixels: values, shape: [12, 32, 32, 3] }, indices)
      }
      return saveTrainer(gpu, trainer)
    }
    const whole = begun()
    const expected = await train(whole, 7)
    assert.is(whole.captured.replays > 0, true, whole.captured.reason ?? '')
    const resumed = begun()
    loadTrainer(gpu, resumed, await train(begun(), 3))
    assert.equal(await train(resumed, 7), expected)
  })

test('a chunk that is no count, or smaller than the splits, is refused', ({ gpu }) => {
  for (const [name, make] of Object.entries(makers)) {
    const called = { MoCo: 'moco', 'MoCo v3': 'mocoV3', AMDIM: 'amdim' }[name]
    if (called !== undefined)
      refuses(
        () => make(gpu, { normed: false, chunk: 2.5 }),
        `${called}: chunk must be a whole number of images from 1 on, got 2.5`,
      )
    assert.throws(
      () => make(gpu, { normed: false, chunk: 0 }),
      /^\w+: chunk must be a whole number of images/,
    )
  }
  refuses(
    () => mocoOf(false)(gpu, { normed: true, splits: 4, chunk: 3 }),
    'moco: each chunk is split for batch norm, so chunk must be at least the 4 splits, got 3',
  )
})

test.run()
