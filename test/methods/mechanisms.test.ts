import * as assert from 'uvu/assert'
import type { Tensor } from '../../kernels/op.ts'
import { infoNce } from '../../kernels/loss/infonce.ts'
import { l2Normalize } from '../../kernels/reduce/l2-normalize.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { Adam, Sgd } from '../../engine/optim/optimizer.ts'
import { constant, cosineRamp } from '../../engine/optim/schedule.ts'
import { endToEnd } from '../../methods/end-to-end.ts'
import { memoryBank } from '../../methods/memory-bank.ts'
import { moco } from '../../methods/moco.ts'
import { mocoV3 } from '../../methods/moco-v3.ts'
import type { Parts } from '../../models/parts.ts'
import { KeyQueue } from '../../models/key-queue.ts'
import { MemoryBank } from '../../models/memory-bank.ts'
import { mocoV3Head } from '../../models/moco-heads.ts'
import { type Tower, forwardTower, parametersOf } from '../../models/tower.ts'
import { close } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'
import { ends, toyImages, toyTower, toyViews } from '../fixtures/toy-task.ts'

const test = gpuSuite('the three mechanisms')

const N = 32
const IMAGES = 64
const schedule = constant(1e-2)
const temperature = 0.2

/** Images of a step's batch: each epoch of two steps sees all of them. */
const batchOf = (step: number) => Array.from({ length: N }, (_, n) => (step % 2) * N + n)

/** The losses of 100 steps. */
async function train(gpu: Gpu, step: (images: Tensor, indices: number[]) => Tensor, steps = 100) {
  const losses: number[] = []
  for (let s = 0; s < steps; s++)
    losses.push((await gpu.read(step(toyImages(gpu, batchOf(s)), batchOf(s))))[0] ?? NaN)
  return losses
}

function mocoToy(
  gpu: Gpu,
  given: { symmetric?: boolean; splits?: number; shuffle?: boolean; K?: number } = {},
) {
  const { K = 80, ...options } = given
  const [query, key] = [toyTower(gpu, 1), toyTower(gpu, 2)]
  const queue = new KeyQueue(gpu, { K, C: 8 })
  const optimizer = new Adam(parametersOf(query))
  const views = toyViews(gpu)
  return moco(gpu, {
    ...{ query, key, queue, optimizer, schedule, temperature, views },
    momentum: constant(0.9),
    ...options,
  })
}

for (const [name, options, share] of [
  ['MoCo', {}, 0.7],
  ['MoCo with a symmetric loss', { symmetric: true }, 0.7],
  ['MoCo with split batch norm and shuffled keys', { splits: 2 }, 0.75],
] as const)
  test(`${name} learns to ignore what the augmentation changes`, async ({ gpu }) => {
    const [start, end] = ends((await train(gpu, mocoToy(gpu, options).step)).slice(5)) // once the queue holds keys
    assert.ok(end < share * start, `loss went from ${start} to ${end}`)
  })

function v3Toy(gpu: Gpu) {
  const [query, key] = [toyTower(gpu, 1), toyTower(gpu, 2)]
  const predictor = mocoV3Head(gpu, { name: 'predictor', widths: [8, 16, 8] })
  const optimizer = new Adam(parametersOf({ query, predictor }))
  const momentum = cosineRamp(0.9, 100)
  const views = toyViews(gpu)
  return mocoV3(gpu, { query, key, predictor, optimizer, schedule, momentum, temperature, views })
}

test('MoCo v3 learns to ignore what the augmentation changes', async ({ gpu }) => {
  const [start, end] = ends(await train(gpu, v3Toy(gpu).step))
  assert.ok(end < 0.5 * start, `loss went from ${start} to ${end}`)
})

test('an optimizer may have more than what a key network follows, behind it', async ({ gpu }) => {
  const probe = gpu.variable([1, 2], [2])
  const make = (order: (query: Tower) => Parts) => {
    const [query, key] = [toyTower(gpu, 1), toyTower(gpu, 2)]
    const optimizer = new Sgd(parametersOf(order(query)))
    const queue = new KeyQueue(gpu, { K: 8, C: 8 })
    const views = toyViews(gpu)
    return moco(gpu, { query, key, optimizer, queue, schedule, momentum: 0, temperature, views })
  }
  const { step, key, encoder } = make((query) => ({ query, probe }))
  step(toyImages(gpu, [0, 1, 2, 3]))
  for (const [name, weight] of Object.entries(key.encoder.parameters))
    assert.equal(
      [...(await gpu.read(weight))],
      [...(await gpu.read(encoder.parameters[name] ?? probe))],
    )
  assert.equal([...(await gpu.read(probe))], [1, 2])
  assert.throws(
    () => make((query) => ({ probe, query })),
    (error: Error) => error.message.includes('probe comes before query.0.weight'),
  )
})

function bankToy(gpu: Gpu, loss: 'infonce' | 'nce', n = IMAGES, negatives = 24) {
  const { encoder, head } = toyTower(gpu, 1)
  const bank = new MemoryBank(gpu, { n, C: 8 })
  const optimizer = new Adam(parametersOf({ encoder, head }))
  const views = toyViews(gpu)
  return memoryBank(gpu, {
    ...{ encoder, head, bank, optimizer, schedule, temperature, loss, views },
    negatives,
    momentum: 0.5,
  })
}

for (const loss of ['infonce', 'nce'] as const)
  test(`a memory bank with ${loss} learns to ignore what the augmentation changes`, async ({
    gpu,
  }) => {
    const [start, end] = ends(await train(gpu, bankToy(gpu, loss).step))
    assert.ok(end < 0.6 * start, `loss went from ${start} to ${end}`)
  })

test('end-to-end learns to ignore what the augmentation changes, with two encoders or one', async ({
  gpu,
}) => {
  for (const shared of [false, true]) {
    const query = toyTower(gpu, 1)
    const key = shared ? query : toyTower(gpu, 1)
    const keys = Object.entries(parametersOf(key)).map(([name, p]) => [`key.${name}`, p] as const)
    const optimizer = new Adam({
      ...parametersOf(query),
      ...(shared ? {} : Object.fromEntries(keys)),
    })
    const views = toyViews(gpu)
    const { step } = endToEnd(gpu, { query, key, optimizer, schedule, temperature, views })
    const [start, end] = ends(await train(gpu, step))
    assert.ok(end < 0.5 * start, `loss went from ${start} to ${end}`)
  }
})

test('a symmetric loss compares no query with its own key, and enqueues both halves after', async ({
  gpu,
}) => {
  const trainer = mocoToy(gpu, { symmetric: true })
  const before = gpu.tensor(await gpu.read(trainer.queue.keys), [80, 8])
  const [images, views] = [toyImages(gpu, batchOf(0)), toyViews(gpu)]
  const [x1, x2] = [
    views(images, { step: () => 0, view: 0 }),
    views(images, { step: () => 0, view: 1 }),
  ]
  const z = (x: Tensor) => l2Normalize(forwardTower(toyTower(gpu, 1), x, { training: true }))
  const expected = [
    infoNce(z(x1), z(x2), before, temperature),
    infoNce(z(x2), z(x1), before, temperature),
  ]
  const [a = NaN] = await gpu.read(expected[0] as Tensor) // there are two
  const [b = NaN] = await gpu.read(expected[1] as Tensor)
  close(await gpu.read(trainer.step(images)), [a + b], 1e-5, 'loss')
  const after = await gpu.read(trainer.queue.keys)
  close(after.subarray(0, N * 8), await gpu.read(z(x1)), 1e-5, 'keys of the first view')
  close(after.subarray(N * 8, 2 * N * 8), await gpu.read(z(x2)), 1e-5, 'keys of the second view')
  assert.is(trainer.queue.pointer, 2 * N)
})

test('the key encoder begins as a copy, follows by parameters alone, and keeps its own statistics', async ({
  gpu,
}) => {
  const { step, encoder, key } = mocoToy(gpu)
  const value = (model: typeof encoder) => gpu.read(model.parameters['0.weight'] as Tensor) // the toy's layer
  const start = await value(encoder)
  assert.equal(await value(key.encoder), start)
  await gpu.read(step(toyImages(gpu, batchOf(0))))
  const moved = await value(encoder)
  close(
    await value(key.encoder),
    start.map((k, i) => 0.9 * k + 0.1 * (moved[i] ?? NaN)),
    1e-6,
    'f_k',
  )
  const [own, others] = [key.encoder.norms['1'], encoder.norms['1']]
  assert.is(own?.batches, 1)
  assert.not.equal(await gpu.read(own?.mean as Tensor), await gpu.read(others?.mean as Tensor)) // other views
})

test('a larger queue costs no further dispatch, and a batch larger than the queue keeps its last keys', async ({
  gpu,
}) => {
  const counts: number[] = []
  for (const K of [64, 640, 20]) {
    const { step, queue } = mocoToy(gpu, { K })
    const images = toyImages(gpu, batchOf(0))
    await gpu.read(step(images))
    const before = gpu.stats().dispatches
    await gpu.read(step(images))
    counts.push(gpu.stats().dispatches - before)
    assert.is(queue.pointer, (2 * N) % K)
  }
  assert.equal(counts, [counts[0], counts[0], counts[0]])
})

test('refuses splits that are no count, and more negatives than the device binds', ({ gpu }) => {
  for (const splits of [0, 1.5, -2])
    refuses(
      () => mocoToy(gpu, { splits }),
      `moco: splits must be a whole number from 1 on, got ${splits}`,
    )
  const largest = gpu.device.limits.maxStorageBufferBindingSize
  const most = Math.floor(largest / 32)
  const K = most + 1
  refuses(
    () => bankToy(gpu, 'infonce', 40, K),
    `memoryBank: ${K} negatives of 8 numbers need ${32 * K} bytes and this adapter binds at most ${largest}; lower --negatives to ${most} or less`,
  )
  refuses(
    () => bankToy(gpu, 'infonce', 40, 0),
    'memoryBank: negatives must be a whole number from 1 on, got 0',
  )
})

test('refuses indices that are not of its images, and a key encoder of another shape', ({
  gpu,
}) => {
  const { step } = bankToy(gpu, 'infonce', 40)
  const images = toyImages(gpu, [0, 1])
  refuses(() => step(images, [0]), 'memoryBank: each of 2 images needs its index, got 1')
  refuses(
    () => step(images, [0, 40]),
    'memoryBank: the bank has a slot for each of 40 images, got index 40; it is of another data set',
  )
  const [query, key] = [
    toyTower(gpu, 1),
    { ...toyTower(gpu, 1), head: mocoV3Head(gpu, { name: 'predictor', widths: [32, 4, 8] }) },
  ]
  const queue = new KeyQueue(gpu, { K: 8, C: 8 })
  refuses(
    () =>
      moco(gpu, {
        ...{ query, key, queue, schedule, temperature, optimizer: new Sgd(parametersOf(query)) },
        momentum: constant(0.9),
        views: toyViews(gpu),
      }),
    'MovingAverage: 6 followers are needed, one for each parameter, got 8',
  )
})

test.run()
