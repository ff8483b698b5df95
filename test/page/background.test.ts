// A page that trains stays alive: on its own thread, in pieces, and in a worker.

import * as assert from 'uvu/assert'
import type * as kindred from '../../index.ts'
import { openGpu } from '../../engine/node.ts'
import { memoryDataset } from '../../data/memory-dataset.ts'
import { procedural } from '../../data/procedural.ts'
import { configOf } from '../../training/config.ts'
import { MemoryStorage } from '../../training/memory-storage.ts'
import { train } from '../../training/train.ts'
import type * as worker from '../../worker.ts'
import { bundled } from '../fixtures/browser.ts'
import { pageSuite } from '../fixtures/page-suite.ts'

const test = pageSuite('training beside a page')

type Library = typeof kindred & typeof worker

/** The parts of a page that the tests' bodies use there. */
interface PageGlobals {
  readonly requestAnimationFrame: (call: () => void) => void
  readonly Worker: new (url: string, options: { type: 'module' }) => worker.TrainingPort
}

const texts = async () => ({
  '/index.html': '<!doctype html><link rel="icon" href="data:,">',
  '/library.js': await bundled(`export * from './dist/index.js'; export * from './dist/worker.js'`),
  '/train-worker.js': await bundled(
    `import { serveTraining } from './dist/worker.js'; serveTraining()`,
  ),
})

const STEPS = 3

test('frames come between the pieces of a step', async ({ open }) => {
  const { page, complaints } = await open('dist', await texts())
  const seen = await page.evaluate(async (steps) => {
    const from = '/library.js'
    const { requestAnimationFrame: frame } = globalThis as unknown as PageGlobals
    const library = (await import(from)) as Library
    const { Adam, cifarRecipe, parametersOf, projectionHead, resnet8, simclr } = library
    const gpu = await library.openGpu()
    const [N, S] = [8, 16]
    const encoder = resnet8(gpu, { width: 2, seed: 1 })
    const head = projectionHead(gpu, { features: encoder.features, hidden: 16, dim: 8, seed: 2 })
    const { step, warm } = simclr(gpu, {
      ...{ encoder, head, optimizer: new Adam(parametersOf({ encoder, head })) },
      ...{ schedule: 1e-3, temperature: 0.5, batchNorm: 'per-view', views: cifarRecipe(S) },
    })
    const batch = (t: number) => ({
      pixels: Uint8Array.from({ length: N * S * S * 3 }, (_, i) => (i * (7 + t)) % 256),
      shape: [N, S, S, 3],
    })
    await warm(batch(0))
    const { pipelines } = gpu.stats()
    // Each frame of the app draws on the same device, and the next one waits until it is drawn.
    const { queue } = gpu.device
    const drawing = gpu.device.createBuffer({ size: 256, usage: 0x8 }) // COPY_DST
    let [frames, isOver] = [0, false]
    const draw = async () => {
      const commands = gpu.device.createCommandEncoder()
      commands.clearBuffer(drawing)
      queue.submit([commands.finish()])
      await queue.onSubmittedWorkDone()
      frames++
      if (!isOver) frame(() => void draw())
    }
    frame(() => void draw())
    const losses: number[] = []
    const { submits } = gpu.stats()
    const all = Array.from({ length: steps }, (_, t) => batch(t))
    for await (const loss of library.trainInBackground(gpu, step, all, { budget: 8 }))
      losses.push(loss)
    isOver = true
    const after = gpu.stats()
    return {
      ...{ losses, frames, compiled: after.pipelines - pipelines },
      submits: after.submits - submits,
    }
  }, STEPS)
  assert.is(seen.compiled, 0)
  assert.is(seen.losses.length, STEPS)
  assert.ok(seen.losses.every(Number.isFinite), seen.losses.join())
  assert.ok(seen.submits > 10 * STEPS, `${seen.submits} submits`)
  // between whole steps one frame would be drawn, or two
  assert.ok(seen.frames > 3 * STEPS, `${seen.frames} frames in ${STEPS} steps`)
  assert.equal(complaints, [])
})

/** A training of three steps, on 24 images. */
const config = configOf('simclr', {
  ...{ data: 'procedural:24,1', preset: 'simclr-demo', model: 'resnet8', stem: 'imagenet' },
  ...{ width: 2, size: 16, batch: 8, epochs: 1 },
})

test('a worker trains to the losses of Node, while frames come', async ({ open }) => {
  const { train: set } = procedural({ size: 16, train: 24, test: 1 })
  const pixels = new Uint8Array(24 * 16 * 16 * 3)
  await set.read([...Array(24).keys()], pixels)
  const { page, complaints } = await open('dist', await texts())
  const seen = await page.evaluate(
    async ({ run, bytes }) => {
      const from = '/library.js'
      const { requestAnimationFrame: frame, Worker } = globalThis as unknown as PageGlobals
      const { startTraining } = (await import(from)) as Library
      const image = { height: 16, width: 16, channels: 3 }
      const images = { pixels: Uint8Array.from(bytes), image }
      const thread = new Worker('/train-worker.js', { type: 'module' })
      const training = await startTraining(thread, { run, train: images })
      let [frames, isOver] = [0, false]
      const count = () => {
        frames++
        if (!isOver) frame(count)
      }
      frame(count)
      const losses: number[] = []
      const outcome = await training.train({
        onEvent(event) {
          if (event.event === 'step') losses.push(event.values.loss ?? NaN)
        },
      })
      isOver = true
      const { M, D } = await training.embed('train')
      const missing = await startTraining(
        new Worker('data:text/javascript,throw new Error("broken")', { type: 'module' }),
        { run, train: { ...images, pixels: Uint8Array.from(bytes) } },
      ).then(
        () => 'it started',
        (error: unknown) => String(error),
      )
      training.close()
      return { losses, outcome, frames, sent: images.pixels.length, features: [M, D], missing }
    },
    { run: config, bytes: [...pixels] },
  )
  const gpu = await openGpu()
  const storage = new MemoryStorage(config)
  const half = { ...set, labels: null, classes: [] }
  const none = memoryDataset({ name: 'none', image: set.image, pixels: new Uint8Array(0) })
  const about = { path: null, split: 'of a test', notes: [], others: [] }
  const outcome = await train(gpu, { train: half, test: none, about }, storage)
  gpu.destroy()
  const expected = (await storage.metrics()).flatMap(({ loss }) => loss ?? [])
  assert.is(seen.losses.length, 3)
  for (const [t, loss] of expected.entries())
    assert.ok(Math.abs((seen.losses[t] ?? NaN) - loss) <= 1e-4, `${seen.losses[t]}, Node ${loss}`)
  assert.equal([seen.outcome.finished, seen.outcome.step], [outcome.finished, outcome.step])
  assert.is(seen.sent, 0)
  assert.equal(seen.features[0], 24)
  assert.ok(seen.frames > 3, `${seen.frames} frames`)
  assert.match(seen.missing, /^Error: the training's worker failed: /)
  assert.equal(complaints, ['broken']) // the worker's that throws
})

test.run()
