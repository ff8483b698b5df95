// Tests that a training gives back all its memory: by gpu.free to the byte, and to the system when
// nothing holds it.

import * as assert from 'uvu/assert'
import type { Dataset } from '../../data/dataset.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import type { Trainer } from '../../methods/entry.ts'
import { methods } from '../../methods/registry.ts'
import { configOf } from '../../training/config.ts'
import { trainerOf } from '../../training/prepare.ts'
import { collectUntil } from '../fixtures/garbage.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const [test, full] = quickAndFull(gpuSuite('freed methods'))

const N = 8
const image = { height: 32, width: 32, channels: 3 }
const set = { image, size: 24, labels: null, classes: [] } as unknown as Dataset // as much as is asked
const pixels = Uint8Array.from({ length: N * 3072 }, (_, i) => (i * 7) % 251)
const indices = Uint32Array.from({ length: N }, (_, i) => i)
const small = { data: 'procedural:24,8', batch: N, epochs: 2 }
const tower = { model: 'resnet8', stem: 'imagenet', width: 2 } as const

/** Makes a method of the registry. */
function trainer(gpu: Gpu, name: string): Trainer {
  const [method, preset] = name.split('/')
  const own = method === 'amdim' ? { width: 4, features: 16, depth: 1 } : tower
  const more = method === 'moco' && preset !== 'moco-v3-demo' ? { bnSplits: 2, queue: 32 } : {}
  const given = { ...small, ...own, ...more, ...(preset && { preset }) }
  const config = configOf(method as 'simclr', given)
  return trainerOf(gpu, config, { stepsPerEpoch: 3, images: set, capture: true })
}

const step = (one: Trainer) => one.step({ pixels, shape: [N, 32, 32, 3] }, indices)

const idle = (gpu: Gpu) => {
  for (let i = 0; i < 70; i++) gpu.step(() => {})
  return gpu.stats().bytes
}

for (const name of [...methods.keys(), 'moco/moco-v3-demo'])
  test(`${name}: gpu.free gives back every byte, and a freed method is refused`, ({
    gpu: { device },
  }) => {
    const gpu = new Gpu(device, { activations: name === 'simclr' ? 'f16' : 'f32' }) // with a scaler
    const one = trainer(gpu, name)
    for (let s = 0; s < 4; s++) step(one)
    gpu.free(one)
    gpu.free(one) // once more does nothing
    assert.is(idle(gpu), 256) // the block for recording
    let told = ''
    try {
      step(one)
    } catch (error) {
      told = (error as Error).message // what step throws
    }
    assert.match(told, /^a variable \[[\d, ]+\] was used after gpu\.free gave its memory back$/)
    assert.is(idle(gpu), 256)
    gpu.destroy()
  })

test('a sweep of trainings that nobody holds takes the memory of one', async ({
  gpu: { device },
}) => {
  const gpu = new Gpu(device)
  const bytes: number[] = []
  for (let i = 0; i < 3; i++) {
    const one = trainer(gpu, 'simclr')
    for (let s = 0; s < 4; s++) step(one)
    await collectUntil(() => gpu.stats().bytes <= (bytes[0] ?? 0), i === 0 ? 5 : 50)
    bytes.push(gpu.stats().bytes)
  }
  assert.ok(Math.max(...bytes) <= 2 * (bytes[0] ?? 0), bytes.join())
  gpu.destroy()
})

full('fifty trainings, freed one by one, leave resident memory flat', async ({ gpu }) => {
  const rss: number[] = []
  for (let i = 0; i < 50; i++) {
    const one = trainer(gpu, 'simclr')
    for (let s = 0; s < 6; s++) step(one)
    await gpu.sync()
    gpu.free(one)
    await collectUntil(() => false, 1)
    rss.push(process.memoryUsage().rss / 2 ** 20)
  }
  const [early = 0, late = 0] = [rss.slice(5, 15), rss.slice(40)].map((part) => Math.max(...part))
  assert.ok(late <= 1.02 * early, rss.map((mib) => mib.toFixed(0)).join())
})

test.run()
