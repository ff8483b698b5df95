// Tests the collapse meter and its warning.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { memoryDataset } from '../../data/memory-dataset.ts'
import { procedural } from '../../data/procedural.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { add } from '../../kernels/elementwise/add.ts'
import type { Model } from '../../models/model.ts'
import { createRun } from '../../run-folder/open.ts'
import { configOf } from '../../training/config.ts'
import { Measure } from '../../training/measure.ts'
import type { Prepared } from '../../training/prepare.ts'
import { SphereMeter, collapseWarning, isCollapsed } from '../../training/sphere.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('sphere')

const config = configOf('simclr', { data: 'procedural:16,16', preset: 'simclr-demo' }, true)

/** A model whose features [N, 4] are `constant` plus `scale` times the sums of an image. */
const model = (gpu: Gpu, scale: number, constant = 1): Model =>
  ({
    features: 32,
    forward: (x: Parameters<Model['forward']>[0]) =>
      add(mul(sum(sum(x, 3), 2), scale), gpu.tensor([constant], [])),
  }) as unknown as Model // as much of one as the meter asks

test('is 0 for features that are one direction, whatever the images', async ({ gpu }) => {
  const meter = new SphereMeter(gpu, config, procedural({ train: 16, test: 16 }))
  const { spread, alignment, uniformity } = await meter.of(model(gpu, 0))
  for (const value of [spread, alignment, uniformity]) assert.ok(Math.abs(value) < 1e-5, `${value}`)
  const spreading = await meter.of(model(gpu, 1, 0))
  assert.ok(spreading.spread > 0.05 && spreading.alignment > 0.01 && spreading.uniformity < -0.01)
})

test('measures training images where there are no test images or labels', ({ gpu }) => {
  const { train } = procedural({ train: 20, test: 1 })
  const unlabelled = { ...train, labels: null, classes: [] }
  const pixels = new Uint8Array(0)
  const none = memoryDataset({
    name: 'none',
    image: train.image,
    classes: [],
    labels: null,
    pixels,
  })
  assert.is(new SphereMeter(gpu, config, { train: unlabelled, test: none }).images.size, 20)
})

test('calls collapsed what spreads less than a tenth and half of the untrained', () => {
  assert.is(isCollapsed(0.09, null), true)
  assert.is(isCollapsed(0.1, null), false)
  assert.is(isCollapsed(0.09, 0.5), true)
  assert.is(isCollapsed(0.09, 0.18), false)
  assert.is(isCollapsed(0.3, 0.9), false)
})

test('warns once until features recover', async ({ gpu }) => {
  const dir = mkdtempSync(join(tmpdir(), 'kindred-sphere-'))
  const run = await createRun(join(dir, 'a'), { ...config })
  const spreads = [0.5, 0.01, 0.02, 0.4, 0.03]
  const notes: string[] = []
  const prepared = {
    config: { ...config, knn: { ...config.knn, every: 1 } },
    probe: null,
    meter: { of: () => Promise.resolve({ spread: spreads.shift(), alignment: 1, uniformity: -1 }) },
    trainer: { encoder: model(gpu, 1), head: model(gpu, 1), state: { step: 1 } },
    stepsPerEpoch: 1,
  } as unknown as Prepared // as much of one as a measurement asks
  const progress = { start() {}, update() {}, note: (line: string) => notes.push(line), stop() {} }
  const measure = new Measure(prepared, run, progress)
  await measure.begin()
  for (const epoch of [1, 2, 3, 4]) await measure.at(epoch)
  assert.equal(
    notes.filter((line) => line.startsWith('warning')),
    [collapseWarning(0.01), collapseWarning(0.03)],
  )
  assert.match(notes.join('\n'), /epoch 3, spread of the features: 0\.400 of an even one/)
  await run.close()
  rmSync(dir, { recursive: true })
})

test.run()
