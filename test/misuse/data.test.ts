// Tests the errors of data sets for wrong arguments from plain JavaScript.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { subset } from '../../data/select.ts'
import { batches, countSteps } from '../../data/loader.ts'
import { openData } from '../../data/open.ts'
import { procedural } from '../../data/procedural.ts'
import { openGpu } from '../../engine/node.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { simclr } from '../../methods/simclr.ts'
import { projectionHead } from '../../models/heads.ts'
import { parametersOf } from '../../models/parts.ts'
import { resnet8 } from '../../models/resnet.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'

const test = suite('misuse of data')

test('data sets say what was wrong with a call', () => {
  const split = procedural({ size: 8, train: 8, test: 4 })
  const { train } = split
  return refusesAll([
    [
      'an option misspelt',
      () => call(procedural, { sise: 8 }),
      `procedural: there is no option 'sise'; did you mean 'size'? Its options are size, train, test, seed`,
    ],
    [
      'a number for options',
      () => call(procedural, 8),
      'procedural: options must be an object with size, train, test, seed, got 8',
    ],
    [
      'a string for a number',
      () => call(procedural, { train: '8' }),
      `procedural: train must be a positive integer, got '8'`,
    ],
    ['no name', () => call(openData), 'openData: spec must be a string, got undefined'],
    [
      'an option of the folder misspelt',
      () => call(openData, 'procedural', { worker_s: 2 }),
      `openData: there is no option 'worker_s'; did you mean 'workers'? Its options are size, seed, cache, testShare, memory, workers, onProgress, onNotice, worker, originals, signal`,
    ],
    [
      "torch's name of a batch",
      () => call(batches, train, { batch_size: 4, seed: 0, epoch: 0 }),
      `batches: there is no option 'batch_size'; did you mean 'batch'? Its options are batch, seed, epoch, start, shuffle, dropLast, pixels, prefetch, signal`,
    ],
    [
      'no batch',
      () => call(batches, train, { seed: 0, epoch: 0 }),
      'batches: batch is missing; it must be a whole number from 1 on',
    ],
    [
      'no seed',
      () => call(batches, train, { batch: 4, epoch: 0 }),
      'batches: seed is missing; it must be an integer',
    ],
    [
      'a number for options of batches',
      () => call(batches, train, 4),
      'batches: options must be an object with batch, seed, epoch, start, shuffle, dropLast, pixels, prefetch, signal, got 4',
    ],
    [
      'both halves',
      () => call(batches, split, { batch: 4, seed: 0, epoch: 0 }),
      'batches: the data set must be one half, got both; give its train or its test',
    ],
    [
      'a set that is not there yet',
      () => call(batches, Promise.resolve(split), {}),
      'batches: the data set must be a data set such as (await openData(...)).train, got a promise; await it',
    ],
    [
      'both halves to count',
      () => call(countSteps, split, { batch: 4 }),
      'countSteps: the data set must be one half, got both; give its train or its test',
    ],
    [
      'no set',
      () => call(subset, undefined, 4, 0),
      'subset: the data set must be a data set such as (await openData(...)).train, got undefined',
    ],
    [
      'no seed of a subset',
      () => call(subset, train, 4),
      'subset: seed must be a whole number from 0 to below 2^32, got undefined',
    ],
    [
      'a string for a count',
      () => call(subset, train, '4', 0),
      `procedural: a subset must have at least 1 image, got '4'`,
    ],
  ])
})

test('a method takes a batch as it is yielded, and the same as its pixels', async () => {
  const gpu = await openGpu()
  const { train } = procedural({ size: 16, train: 8, test: 4 })
  const losses = async (
    take: (batch: { images: Uint8Array; shape: readonly number[] }) => object,
  ) => {
    const encoder = resnet8(gpu, { width: 2 })
    const head = projectionHead(gpu, { features: 8, hidden: 4, dim: 4 })
    const optimizer = new Sgd(parametersOf({ encoder, head }))
    const views = { flip: 0.5 }
    const { step } = simclr(gpu, {
      ...{ encoder, head, optimizer, schedule: 0.1, temperature: 0.5, batchNorm: 'joint', views },
    })
    const found: number[] = []
    for await (const batch of batches(train, { batch: 4, seed: 0, epoch: 0 }))
      found.push((await gpu.read(call(step, take(batch)) as ReturnType<typeof step>))[0] ?? NaN)
    return found
  }
  const whole = await losses((batch) => batch)
  assert.ok(whole.every(Number.isFinite))
  assert.equal(whole, await losses(({ images, shape }) => ({ pixels: images, shape })))
  gpu.destroy()
})

test.run()
