// Tests the errors of methods for wrong arguments from plain JavaScript.

import { Sgd } from '../../engine/optim/optimizer.ts'
import { amdim } from '../../methods/amdim.ts'
import { endToEnd } from '../../methods/end-to-end.ts'
import { gradientCache } from '../../methods/gradient-cache.ts'
import { memoryBank } from '../../methods/memory-bank.ts'
import { moco } from '../../methods/moco.ts'
import { simclr } from '../../methods/simclr.ts'
import { projectionHead } from '../../models/heads.ts'
import { KeyQueue } from '../../models/key-queue.ts'
import { MemoryBank } from '../../models/memory-bank.ts'
import { resnet8 } from '../../models/resnet.ts'
import { type Parts, type Tower, parametersOf } from '../../models/parts.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('misuse of methods')

const towerOf = (gpu: Gpu): Tower => ({
  encoder: resnet8(gpu, { width: 2 }),
  head: projectionHead(gpu, { features: 8, hidden: 4, dim: 4 }),
})

test('methods say what was wrong with a call', async ({ gpu }) => {
  const { encoder, head } = towerOf(gpu)
  const optimizer = new Sgd(parametersOf({ encoder, head }))
  const fine = {
    ...{
      encoder,
      head,
      optimizer,
      schedule: 1e-3,
      temperature: 0.5,
      batchNorm: 'joint',
      views: {},
    },
  }
  const { step } = call(simclr, gpu, fine) as ReturnType<typeof simclr>
  const queue = new KeyQueue(gpu, { K: 8, C: 4 })
  const tower = { encoder, head }
  const shape = [2, 16, 16, 3]
  const white = new Float32Array(2 * 768).fill(255)
  await refusesAll([
    [
      'a value that is none',
      () => call(simclr, gpu, { ...fine, batchNorm: 'Joint' }),
      `simclr: batchNorm must be 'per-view' or 'joint', got 'Joint'; did you mean 'joint'?`,
    ],
    [
      'a misspelt option',
      () => call(simclr, gpu, { ...fine, batchnorm: 'joint' }),
      `simclr: there is no option 'batchnorm'; did you mean 'batchNorm'? Its options are encoder, head, optimizer, temperature, batchNorm, loss, scale, schedule, views, chunk, seed, capture, scaler, frozen`,
    ],
    [
      'no option',
      () => call(simclr, gpu),
      'simclr: encoder is missing; it must be a model such as resnet18(gpu)',
    ],
    [
      'no optimizer',
      () => call(simclr, gpu, { ...fine, optimizer: undefined }),
      'simclr: optimizer is missing; it must be an optimizer such as Sgd',
    ],
    [
      'parameters for a model',
      () => call(simclr, gpu, { ...fine, encoder: encoder.parameters }),
      'simclr: encoder must be a model such as resnet18(gpu), got an object with conv1.weight, bn1.weight, bn1.bias, layer1.0.conv1.weight, layer1.0.bn1.weight, layer1.0.bn1.bias, ...',
    ],
    [
      'a class for an optimizer',
      () => call(simclr, gpu, { ...fine, optimizer: Sgd }),
      'simclr: optimizer must be an optimizer such as Sgd, got a function',
    ],
    [
      'a word for a schedule',
      () => call(simclr, gpu, { ...fine, schedule: 'cosine' }),
      `simclr: schedule must be a number or a function of the step, t => number, got 'cosine'`,
    ],
    [
      'a number for views',
      () => call(simclr, gpu, { ...fine, views: 2 }),
      'simclr: views must be an object, or a pair of recipes, or a function, got 2',
    ],
    [
      'a temperature of 0',
      () => call(simclr, gpu, { ...fine, temperature: 0 }),
      'simclr: temperature must be a number above 0, a function of the step, t => number, or a variable [], got 0',
    ],
    [
      'an option of another method',
      () => call(simclr, gpu, { ...fine, momentum: 0.9 }),
      `simclr: there is no option 'momentum'; its options are encoder, head, optimizer, temperature, batchNorm, loss, scale, schedule, views, chunk, seed, capture, scaler, frozen`,
    ],
    [
      'a model for a tower',
      () =>
        call(moco, gpu, {
          ...{ query: encoder, key: encoder, optimizer, queue },
          schedule: 1,
          momentum: 0.9,
          temperature: 1,
          views: {},
        }),
      'moco: query must be an encoder and a head, { encoder, head }, got an object with parameters, norms, features, forward',
    ],
    [
      'no queue',
      () =>
        call(moco, gpu, {
          ...{ query: tower, key: tower, optimizer },
          schedule: 1,
          momentum: 0.9,
          temperature: 1,
          views: {},
        }),
      'moco: queue is missing; it must be a KeyQueue',
    ],
    [
      'another loss',
      () =>
        call(memoryBank, gpu, {
          ...{ encoder, head, optimizer, bank: new MemoryBank(gpu, { n: 8, C: 4 }) },
          negatives: 4,
          schedule: 1,
          momentum: 0.5,
          temperature: 1,
          loss: 'infoNce',
          views: {},
        }),
      `memoryBank: loss must be 'infonce' or 'nce', got 'infoNce'; did you mean 'infonce'?`,
    ],
    [
      'an encoder of one scale',
      () => call(amdim, gpu, { encoder, optimizer, schedule: 1, views: {} }),
      'amdim: encoder must be an encoder as amdimEncoder makes it, got an object with parameters, norms, features, forward',
    ],
    [
      'no key',
      () =>
        call(endToEnd, gpu, { query: tower, optimizer, schedule: 1, temperature: 1, views: {} }),
      'endToEnd: key is missing; it must be an encoder and a head, { encoder, head }',
    ],
    [
      'parts that are no functions',
      () => call(gradientCache, gpu, [1], () => 1),
      'gradientCache: parts must be an array of functions, got an array of 1',
    ],
    [
      'no batch',
      () => call(step),
      'simclr: a batch must be a tensor [N, H, W, 3], { pixels, shape }, a batch of a data set with images and shape, or { set, indices }, got undefined',
    ],
    [
      'pixels without a shape',
      () => call(step, { pixels: new Uint8Array(1536) }),
      'simclr: pixels must be images [N, H, W, 3], got [1536]; give their shape',
    ],
    [
      'an array for a batch',
      () => call(step, [1, 2, 3]),
      'simclr: a batch must be a tensor [N, H, W, 3], { pixels, shape }, a batch of a data set with images and shape, or { set, indices }, got an array of 3',
    ],
    [
      'a batch without pixels',
      () => call(step, { images: new Uint8Array(0), shape }),
      'simclr: the batch has no pixels; give { set, indices } for images on the GPU, or read them with pixels: true',
    ],
    [
      'pixels of 0 to 255',
      () => call(step, { pixels: white, shape }),
      'simclr: f32 pixels must be in [0, 1], got 255; divide them by 255, or give them as a Uint8Array',
    ],
  ])
})

test('methods refuse an optimizer that lacks what they train, unless it is said', async ({
  gpu,
}) => {
  const { encoder, head } = towerOf(gpu)
  const options = { encoder, head, schedule: 1e-3, temperature: 0.5, batchNorm: 'joint', views: {} }
  const trains =
    (parts: Parts, more: object = {}) =>
    () =>
      call(simclr, gpu, { ...options, optimizer: new Sgd(parametersOf(parts)), ...more })
  const { 'projection.0.weight': first = gpu.variable([0], [1]), ...rest } = head.parameters
  await refusesAll([
    [
      'no head',
      trains(encoder),
      'simclr: the optimizer lacks 5 of 32 parameters, projection.0.weight, projection.1.weight, projection.1.bias, projection.3.weight and 1 more; make it of parametersOf({ encoder, head }), or name what is not to be trained, as in frozen: [encoder]',
    ],
    [
      'half a head',
      trains({ encoder: encoder.parameters, head: rest }),
      'simclr: the optimizer lacks 1 of 32 parameters, projection.0.weight; make it of parametersOf({ encoder, head }), or name what is not to be trained, as in frozen: [encoder]',
    ],
    [
      'no encoder',
      trains(head),
      'simclr: the optimizer lacks 27 of 32 parameters, conv1.weight, bn1.weight, bn1.bias, layer1.0.conv1.weight and 23 more; make it of parametersOf({ encoder, head }), or name what is not to be trained, as in frozen: [encoder]',
    ],
    [
      'frozen and trained',
      trains({ encoder, head }, { frozen: [head] }),
      'simclr: projection.0.weight is said to be frozen, and the optimizer trains it; make the optimizer without it, or let its treat return { frozen: true }',
    ],
  ])
  trains(head, { frozen: encoder })()
  trains({ head }, { frozen: [encoder] })()
  trains({ encoder, rest }, { frozen: [first] })()
  trains({ encoder, rest }, { frozen: { first } })()
})

test.run()
