// `train`: a whole training through the library, in memory and in a folder.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { procedural } from '../../data/procedural.ts'
import { configOf } from '../../training/config.ts'
import { MemoryStorage } from '../../training/memory-storage.ts'
import type { TrainingEvent } from '../../training/progress.ts'
import type { TrainingStorage } from '../../training/storage.ts'
import { train } from '../../training/train.ts'
import { runFolder } from '../../run-folder/open.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses, refusesAsync } from '../fixtures/refusal.ts'

const test = gpuSuite('train')
const data = procedural({ train: 48, test: 20 })
const config = configOf('simclr', {
  ...{ data: 'procedural:48,20', preset: 'simclr-demo', model: 'resnet8', stem: 'imagenet' },
  ...{ width: 2, batch: 16, epochs: 2, knnEvery: 1 },
})

const bits = async (storage: TrainingStorage) => {
  const { checkpoint } = await storage.latest()
  return [...(checkpoint?.tensors ?? [])].map(([name, { data: values }]) => [name, values])
}

test('stopped and called again arrives at the same bits, in memory and in a folder', async ({
  gpu,
}) => {
  const whole = new MemoryStorage(config)
  const outcome = await train(gpu, data, whole)
  assert.equal([outcome.finished, outcome.step, outcome.steps], [true, 6, 6])
  assert.is((await whole.metrics()).filter(({ loss }) => loss !== undefined).length, 6)

  const cut = new MemoryStorage(config)
  const stop = new AbortController()
  const events: TrainingEvent[] = []
  const onEvent = (event: TrainingEvent) => {
    events.push(event)
    if (event.event === 'step' && event.step === 2) stop.abort()
  }
  const first = await train(gpu, data, cut, { onEvent, signal: stop.signal })
  assert.ok(!first.finished && first.step < 6, `stopped at ${first.step}`)
  assert.equal(events[0], { event: 'start', steps: 6 })
  await train(gpu, data, cut)
  assert.equal(await cut.metrics(), await whole.metrics())
  assert.equal(await bits(cut), await bits(whole))

  const dir = mkdtempSync(join(tmpdir(), 'kindred-train-'))
  const run = await runFolder(join(dir, 'run'), config)
  await train(gpu, data, run)
  assert.equal(await run.metrics(), await whole.metrics())
  assert.equal(await bits(run), await bits(whole))
  await run.close()
  const again = await runFolder(join(dir, 'run'))
  assert.ok((await train(gpu, data, again)).finished)
  await again.close()
  await refusesAsync(
    () => runFolder(join(dir, 'run'), { ...config, epochs: 3 }),
    `runFolder: ${join(dir, 'run')} holds a run with other settings: epochs 2 -> 3; leave out the configuration to go on with it, or choose another folder`,
  )
  await refusesAsync(
    () => runFolder(join(dir, 'none')),
    `runFolder: ${join(dir, 'none')} holds no run; give the configuration of a new one, as configOf makes it`,
  )
  rmSync(dir, { recursive: true })
})

test('a measurement that is stopped is made up for, and everything else is kept', async ({
  gpu,
}) => {
  const whole = new MemoryStorage(config)
  await train(gpu, data, whole)
  const cut = new MemoryStorage(config)
  const begins = new AbortController()
  begins.abort()
  const nothing = await train(gpu, data, cut, { signal: begins.signal })
  assert.equal([nothing.step, await cut.metrics()], [0, []])
  const stop = new AbortController()
  const onEvent = (event: TrainingEvent) =>
    event.event === 'step' && event.step === 3 && stop.abort() // it is due to be measured now
  const first = await train(gpu, data, cut, { onEvent, signal: stop.signal })
  assert.equal([first.step, first.trained], [3, null])
  assert.is((await cut.latest()).checkpoint?.step, 3)
  await train(gpu, data, cut)
  assert.equal(await cut.metrics(), await whole.metrics())
  assert.equal(await bits(cut), await bits(whole))
})

test('keeps what a function of the user measures beside kNN', async ({ gpu }) => {
  const storage = new MemoryStorage(config)
  const seen: number[] = []
  await train(gpu, data, storage, {
    evaluate: ({ epoch, encoder }) => {
      seen.push(epoch)
      return Promise.resolve({ features: encoder.features })
    },
  })
  assert.equal(seen, [1, 2])
  const measured = (await storage.metrics()).filter(({ knn }) => knn !== undefined)
  assert.equal(
    measured.map((metric) => metric['features']),
    [8, 8],
  )
})

test('refuses measurements that are no numbers, or have a name that is taken', async ({ gpu }) => {
  const measured = (given: unknown) =>
    train(gpu, data, new MemoryStorage(config), { evaluate: () => Promise.resolve(given as never) })
  await refusesAsync(
    () => measured({ loss: 1 }),
    'evaluate: loss is a metric of every training; choose another name',
  )
  await refusesAsync(
    () => measured({ accuracy: NaN }),
    'evaluate: accuracy must be a finite number, got NaN',
  )
  await refusesAsync(
    () => measured(5),
    'evaluate: must resolve to numbers by name, as in { accuracy: 71 }, got 5',
  )
})

test('refuses what does not fit, in words', async ({ gpu }) => {
  refuses(
    () => Reflect.construct(MemoryStorage, []),
    'MemoryStorage: config must be a configuration, as configOf makes it, got undefined',
  )
  const storage = new MemoryStorage(config)
  const wrong: readonly (readonly [() => Promise<unknown>, string])[] = [
    [
      () => train(gpu, data.train as never, storage),
      'train: data must be both halves of a data set, got an object with name, size, image, classes, labels, skipped, ...',
    ],
    [
      () => train(gpu, data, new MemoryStorage({ ...config, precision: 'f16' })),
      "train: the configuration has precision f16, and the Gpu f32; open it with openGpu({ precision: 'f16' })",
    ],
    [
      () => train(gpu, data, new MemoryStorage({ ...config, epochs: 0 })),
      'the training: 1 field is wrong; mend the configuration\n  epochs: must be a whole number from 1 on, got 0',
    ],
  ]
  for (const [call, message] of wrong) await refusesAsync(call, message)
})

test.run()
