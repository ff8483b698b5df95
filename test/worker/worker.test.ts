// A training behind a message port: its numbers are those of `train`, it stops and goes on, and
// what is wrong is told in words.

import * as assert from 'uvu/assert'
import { procedural } from '../../data/procedural.ts'
import type { Dataset } from '../../data/dataset.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { NodeGpu } from '../../engine/node-gpu.ts'
import { configOf } from '../../training/config.ts'
import { MemoryStorage } from '../../training/memory-storage.ts'
import type { TrainingEvent } from '../../training/progress.ts'
import type { TrainingStorage } from '../../training/storage.ts'
import { train } from '../../training/train.ts'
import type { WorkerImages } from '../../worker/messages.ts'
import { serveTraining } from '../../worker/serve.ts'
import { type TrainingPort, startTraining } from '../../worker/start.ts'
import { openGpu } from '../../engine/node.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { keptRun } from '../fixtures/kept-run.ts'
import { refusesAsync } from '../fixtures/refusal.ts'

const test = gpuSuite('a training in a worker')

const split = procedural({ train: 48, test: 20 })
const config = configOf('simclr', {
  ...{ data: 'procedural:48,20', preset: 'simclr-demo', model: 'resnet8', stem: 'imagenet' },
  ...{ width: 2, batch: 16, epochs: 2, knnEvery: 1 },
})

/** The images of a set, in memory of their own. */
async function imagesOf(set: Dataset): Promise<WorkerImages> {
  const pixels = new Uint8Array(set.size * 3072)
  await set.read([...Array(set.size).keys()], pixels)
  return { pixels, image: set.image, labels: set.labels, classes: set.classes }
}

const halves = async () => ({
  train: await imagesOf(split.train),
  test: await imagesOf(split.test),
})

interface Served {
  readonly port: MessagePort & TrainingPort
  readonly gpus: Gpu[]
}

/** Serves trainings at the other end of a port, on this device. */
function served(device: GPUDevice | null): Served {
  const { port1, port2 } = new MessageChannel()
  const gpus: Gpu[] = []
  const open = async (options: object) => {
    const gpu = device ? new NodeGpu(device, options) : await openGpu(options)
    gpus.push(gpu)
    return gpu
  }
  serveTraining({ open }, port2)
  return { port: port1, gpus }
}

const bits = async (storage: TrainingStorage) => {
  const { checkpoint } = await storage.latest()
  return [...(checkpoint?.tensors ?? [])].map(([name, { data }]) => [name, data])
}

/** The same training without a worker. */
async function plain(gpu: Gpu) {
  const storage = new MemoryStorage(config)
  return { outcome: await train(gpu, split, storage), storage }
}

test('trains to the bits of train, on images that are transferred, and tells every step', async ({
  gpu,
}) => {
  const expected = await plain(gpu)
  const { port, gpus } = served(gpu.device)
  const images = await halves()
  const training = await startTraining(port, { ...images, run: config })
  assert.is(images.train.pixels.length, 0)
  assert.match(training.gpu, /^Gpu \(.*software, f32\)$/)
  assert.is(training.software, true)
  assert.is(gpus[0]?.budget, 8)
  const events: TrainingEvent[] = []
  const outcome = await training.train({ onEvent: (event) => void events.push(event) })
  assert.equal(outcome, expected.outcome)
  const steps = events.flatMap((event) => (event.event === 'step' ? [event.step] : []))
  assert.equal(events[0], { event: 'start', steps: 6 })
  assert.equal(steps, [1, 2, 3, 4, 5, 6])
  const run = await training.run()
  assert.equal(await run.metrics(), await expected.storage.metrics())
  assert.equal(await bits(run), await bits(expected.storage))
  assert.is(run.best?.step, expected.storage.best?.step)
  training.close()
  for (const one of gpus) one.destroy()
})

test('stops, goes on, and goes on in another worker, to the same bits', async ({ gpu }) => {
  const expected = await plain(gpu)
  const stop = new AbortController()
  const first = served(gpu.device)
  const training = await startTraining(first.port, { ...(await halves()), run: config })
  const onEvent = (event: TrainingEvent) => {
    if (event.event === 'step' && event.step === 2) stop.abort()
  }
  const { finished, step } = await training.train({ onEvent, signal: stop.signal })
  assert.ok(!finished && step < 6, `stopped at ${step}`)
  const run = await training.run()
  assert.is((await run.latest()).checkpoint?.step, step)
  assert.ok((await training.train()).finished)
  assert.equal(await bits(await training.run()), await bits(expected.storage))
  training.close()

  const second = served(gpu.device)
  const other = await startTraining(second.port, { ...(await halves()), run })
  assert.is((await other.train({ signal: AbortSignal.abort() })).step, step)
  assert.ok((await other.train()).finished)
  assert.equal(await bits(await other.run()), await bits(expected.storage))
  assert.equal(await (await other.run()).metrics(), await expected.storage.metrics())
  other.close()
  for (const one of [...first.gpus, ...second.gpus]) one.destroy()
})

test('trains on the images that a run keeps, whole photos too', async ({ gpu }) => {
  const whole = procedural({ train: 48, test: 20, size: 40 })
  const read = whole.train.read.bind(whole.train)
  const extents = Float32Array.from({ length: 96 }, (_, i) => 40 - (i % 9))
  const originals = { image: whole.train.image, extents, read }
  const cut = async (indices: ArrayLike<number>, out: Uint8Array) => {
    await read(indices, out)
    for (let n = 0; n < indices.length; n++) {
      const [height = 40, width = 40] = extents.subarray(2 * Number(indices[n]))
      const one = out.subarray(n * 4800, (n + 1) * 4800)
      for (let i = 0; i < 4800; i++) if (i >= height * 120 || i % 120 >= width * 3) one[i] = 0 // beyond the photo
    }
  }
  const data = { ...split, train: { ...split.train, originals: { ...originals, read: cut } } }
  const expected = new MemoryStorage(config)
  await train(gpu, data, expected)

  const run = new MemoryStorage(config)
  const { port, gpus } = served(gpu.device)
  await refusesAsync(
    () => startTraining(port, { run }),
    'startTraining: train must be given, since the training keeps no images',
  )
  await run.keepImages(data)
  const training = await startTraining(port, { run })
  assert.ok((await training.train()).finished)
  assert.equal(await bits(await training.run()), await bits(expected))
  assert.is((await training.embed('test')).M, 20)
  const images = await run.images() // what the page has is a copy
  assert.equal([images?.train.labels?.length, (await training.run()).name], [48, run.name])
  const { test: queries } = await halves()
  await refusesAsync(
    () => startTraining(port, { run, test: queries }),
    'startTraining: test needs train beside it, got none',
  )
  training.close()
  for (const one of gpus) one.destroy()
})

test('gives features of its own images and of others', async ({ gpu }) => {
  const { port, gpus } = served(gpu.device)
  const training = await startTraining(port, { ...(await halves()), run: config })
  await refusesAsync(() => training.embed(), 'the training: there are no weights yet; train first')
  await training.train()
  const [own, queries] = [await training.embed(), await training.embed('test')]
  assert.equal([own.M, own.D, queries.M], [48, 8, 20])
  const given = await imagesOf(split.test)
  const again = await training.embed(given)
  assert.is(given.pixels.length, 0)
  assert.equal(again, queries)
  const norm = Math.hypot(...queries.features.subarray(0, 8))
  assert.ok(Math.abs(norm - 1) < 1e-5, `a row of length ${norm}`)
  const { D } = await training.embed('test', { layer: 'embedding' })
  assert.ok(D !== own.D, 'the embedding is the head')
  await refusesAsync(
    () => training.embed('test', { signal: AbortSignal.abort(new Error('enough')) }),
    'enough',
  )
  training.close()
  for (const one of gpus) one.destroy()
})

test('a lost device is replaced, in training and when features are asked for', async ({ gpu }) => {
  const expected = await plain(gpu)
  const { port, gpus } = served(null)
  const training = await startTraining(port, { ...(await halves()), run: config })
  const onEvent = (event: TrainingEvent) => {
    if (event.event === 'step' && event.step === 4) gpus[0]?.device.destroy()
  }
  assert.ok((await training.train({ onEvent })).finished)
  assert.is(gpus.length, 2)
  assert.equal(await bits(await training.run()), await bits(expected.storage))
  const features = await training.embed('test')
  assert.is(gpus.length, 2)
  gpus[1]?.device.destroy()
  assert.equal(await training.embed('test'), features)
  await training.embed('train')
  assert.is(gpus.length, 3)
  training.close()
  for (const one of gpus) one.destroy()
})

test('what is wrong is told in words, and the worker can be used again', async ({ gpu }) => {
  const { port, gpus } = served(gpu.device)
  const start = startTraining as (...args: readonly unknown[]) => ReturnType<typeof startTraining>
  const [images] = [await imagesOf(split.train)]
  const few = {
    ...images,
    pixels: images.pixels.slice(0, 8 * 3072),
    labels: null,
  }
  const size = images.pixels.length
  const refused: readonly (readonly [() => Promise<unknown>, string])[] = [
    [
      () => start({}, {}),
      'startTraining: worker must be a Worker or a MessagePort, got an empty object',
    ],
    [
      () => start(port, { train: images }),
      'startTraining: run is missing; it must be a configuration, as configOf makes it, or a storage',
    ],
    [
      () => start(port, { run: config, train: [1] }),
      'startTraining: train must be images, { pixels, image }, got an array of 1',
    ],
    [
      () => start(port, { run: config, train: { ...images, pixels: new Float32Array(3) } }),
      'startTraining: train.pixels must be a Uint8Array or a Uint8ClampedArray, got a Float32Array of 12 bytes',
    ],
    [
      () =>
        start(port, {
          ...{ run: config, train: { ...images, image: { height: 32, width: 32, channels: 4 } } },
        }),
      'images: image must have a height and width in whole pixels and 3 channels, got 32 x 32 x 4',
    ],
    [
      () => start(port, { run: config, train: { ...images, pixels: new Uint8Array(0) } }),
      'startTraining: train.pixels must hold images, got 0 bytes; were they transferred to a worker before?',
    ],
    [
      () => start(port, { run: config, train: { ...images, labels: [1] } }),
      'images: there must be one label per image, got 1 label and 48 images',
    ],
    [
      () => start(port, { run: config, train: { ...images, classes: ['a'] } }),
      'images: a label must be one of the 1 class, numbered from 0, or -1 for none, got 1 at 1',
    ],
    [
      () => start(port, { run: config, train: images, gpu: { budget: 0 } }),
      'startTraining: gpu: budget must be a finite number of milliseconds above 0, or null, got 0',
    ],
    [
      () =>
        start(port, {
          run: { ...config, epochs: -1 },
          train: images,
        }),
      'the training: 1 field is wrong; mend the configuration\n  epochs: must be a whole number from 1 on, got -1',
    ],
    [
      () => start(port, { run: config, train: few, test: images }),
      'images: batch 16 is larger than the 8 images; lower the batch to 8 or less, or add images',
    ],
  ]
  for (const [act, message] of refused) await refusesAsync(act, message)
  assert.equal([images.pixels.length, few.pixels.length], [size, 8 * 3072])

  const training = await start(port, { run: config, ...(await halves()) })
  const first = training.train({
    onEvent: (event) => {
      if (event.event === 'step') throw new RangeError('of the page')
    },
  })
  await refusesAsync(
    () => training.train(),
    'the worker trains already; stop it first, or start another worker',
  )
  await refusesAsync(
    () => start(port, { run: config, train: images }),
    'the worker trains already; stop it first, or start another worker',
  )
  assert.is(images.pixels.length, size, 'nothing was sent')
  await refusesAsync(() => first, 'of the page')
  const { step, finished } = await training.train()
  assert.ok(finished && step === 6)
  training.close()
  await refusesAsync(() => training.run(), "the training's worker was closed")
  for (const one of gpus) one.destroy()
})

test('keeps the best checkpoint of a storage of any kind', async ({ gpu }) => {
  const run = await keptRun([3, 6, 9], 6)
  const storage: TrainingStorage = {
    ...{ name: 'of an app', config: run.config, elsewhere: 'another' },
    ...{ writeConfig: () => Promise.resolve(), keepMetrics: () => Promise.resolve() },
    ...{ append: () => {}, saveCheckpoint: () => Promise.resolve('') },
    ...{ metrics: () => run.metrics(), latest: () => run.latest() },
    ...{ bestCheckpoint: () => run.bestCheckpoint(), goOn: () => '', nameOf: (name) => name },
  }
  const { port, gpus } = served(gpu.device)
  const training = await startTraining(port, { ...(await halves()), run: storage })
  const copy = await training.run()
  assert.equal([copy.newest?.step, copy.best?.step], [9, 6])
  assert.equal(copy.best?.tensors, run.best?.tensors)
  training.close()
  for (const one of gpus) one.destroy()
})

test('the same images are trained on and measured with', async ({ gpu }) => {
  const { port, gpus } = served(gpu.device)
  const images = await imagesOf(split.train)
  const training = await startTraining(port, { train: images, test: images, run: config })
  assert.is(images.pixels.length, 0)
  const { step, steps } = await training.train({ signal: AbortSignal.abort() })
  assert.equal([step, steps], [0, 6])
  training.close()
  for (const one of gpus) one.destroy()
})

/** A worker that fails or stays silent. */
class Silent extends EventTarget {
  terminated = 0
  postMessage() {}
  terminate() {
    this.terminated++
  }
}

test('a worker that fails or is ended is told of', async () => {
  const images = await imagesOf(split.train)
  for (const [event, told] of [
    [new Event('error'), "the training's worker failed: its script did not load"],
    [
      Object.assign(new Event('error'), { message: 'x is not defined' }),
      "the training's worker failed: x is not defined",
    ],
    [new Event('messageerror'), 'a message of the training could not be read; is memory short?'],
  ] as const) {
    const worker = new Silent()
    const starting = startTraining(worker, { run: config, train: images })
    worker.dispatchEvent(event)
    await refusesAsync(() => starting, told)
  }
})

test.run()
