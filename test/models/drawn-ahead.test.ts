// Models whose weights are drawn in turns with other work.

import * as assert from 'uvu/assert'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { drawnAhead } from '../../models/drawn-ahead.ts'
import { projectionHead } from '../../models/heads.ts'
import { parametersOf } from '../../models/parts.ts'
import { resnet18, resnet8 } from '../../models/resnet.ts'
import { configOf } from '../../training/config.ts'
import { prepare } from '../../training/prepare.ts'
import { saveTrainer } from '../../training/trainer-state.ts'
import { procedural } from '../../data/procedural.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refusesAsync } from '../fixtures/refusal.ts'

const test = gpuSuite('models drawn ahead')

test('has the weights of a model made at once, gives turns, and leaves no memory', async ({
  gpu: { device },
}) => {
  const made = (gpu: Gpu) => {
    const encoder = resnet18(gpu, { width: 32, seed: 7 })
    return { encoder, head: projectionHead(gpu, { features: encoder.features, seed: 3 }) }
  }
  const [one, other] = [new Gpu(device), new Gpu(device)]
  const atOnce = parametersOf(made(one))
  let turns = 0
  const counting = setInterval(() => turns++, 0)
  const inTurns = parametersOf(await drawnAhead(other, () => made(other)))
  clearInterval(counting)
  assert.ok(turns > 1, `${turns} turns`)
  assert.equal(Object.keys(inTurns), Object.keys(atOnce))
  for (const [name, variable] of Object.entries(atOnce)) {
    const own = inTurns[name]
    assert.equal(own && (await other.read(own)), await one.read(variable), name)
  }
  assert.is(other.stats().bytes, one.stats().bytes)
  for (const gpu of [one, other]) gpu.destroy()
})

test('a training beside a page begins with the same bits', async ({ gpu: { device } }) => {
  const data = procedural({ size: 12, train: 16, test: 4 })
  for (const method of ['simclr', 'moco', 'memory-bank']) {
    const config = configOf(method, { size: 12, width: 2, batch: 16, images: 16 }, true)
    const states = []
    for (const budget of [null, 8]) {
      const gpu = new Gpu(device, { budget })
      states.push(await saveTrainer(gpu, (await prepare(gpu, config, data)).trainer))
      gpu.destroy()
    }
    assert.equal(states[1], states[0], method)
  }
})

test('leaves models alone that were made before', async ({ gpu }) => {
  const encoder = resnet8(gpu, { width: 2, seed: 7 })
  const [[, kernel] = []] = Object.entries(encoder.parameters)
  assert.ok(kernel)
  const before = await gpu.read(kernel)
  const both = await drawnAhead(gpu, () => ({
    ...{ encoder, head: projectionHead(gpu, { features: encoder.features, hidden: 8, dim: 4 }) },
  }))
  assert.equal(await gpu.read(kernel), before)
  for (const variable of Object.values(both.head.parameters))
    assert.ok((await gpu.read(variable)).every(Number.isFinite))
})

test('what makes no model is refused', async ({ gpu }) => {
  await refusesAsync(
    () => Promise.resolve().then(() => drawnAhead(gpu, 7 as never)),
    'drawnAhead: make must be a function that makes models, got 7',
  )
  const failed = () => {
    throw new Error('no such model')
  }
  await refusesAsync(() => drawnAhead(gpu, failed), 'no such model')
  const late = async () => resnet8(gpu, { width: 2 })
  await refusesAsync(
    () => drawnAhead(gpu, late),
    'drawnAhead: make must return models at once, got a promise',
  )
  let kept: object | null = null
  await refusesAsync(
    () => drawnAhead(gpu, () => (kept ??= resnet8(gpu, { width: 2 }))),
    'drawnAhead: make must make models each time that it is called; it kept one',
  )
})

test.run()
