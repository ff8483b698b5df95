// What plain JavaScript passes to models, methods and evaluation by mistake, and what it is told.

import * as assert from 'uvu/assert'
import { classifier } from '../evaluate/classify.ts'
import { embed } from '../evaluate/embed.ts'
import { accuracy, knn } from '../evaluate/knn.ts'
import { MovingAverage } from '../engine/moving-average.ts'
import { Sgd } from '../engine/optimizer.ts'
import { amdim } from '../methods/amdim.ts'
import { endToEnd } from '../methods/end-to-end.ts'
import { gradientCache } from '../methods/gradient-cache.ts'
import { memoryBank } from '../methods/memory-bank.ts'
import { moco } from '../methods/moco.ts'
import { simclr } from '../methods/simclr.ts'
import { amdimEncoder } from '../models/amdim-encoder.ts'
import { classifiers } from '../models/classifiers.ts'
import { projectionHead } from '../models/heads.ts'
import { KeyQueue } from '../models/key-queue.ts'
import { Builder } from '../models/layers.ts'
import { MemoryBank } from '../models/memory-bank.ts'
import { fcHead, v3Head } from '../models/moco-heads.ts'
import { resnet8 } from '../models/resnet.ts'
import { saveModel, variablesOf } from '../models/state.ts'
import { type Parts, type Tower, parametersOf } from '../models/parts.ts'
import type { Gpu } from '../engine/gpu.ts'
import { openGpu } from '../engine/node.ts'
import { gpuSuite } from './gpu.ts'
import { call, make, refusesAll } from './misuse.ts'

const test = gpuSuite('misuse of models and methods')

const towerOf = (gpu: Gpu): Tower => ({
  encoder: resnet8(gpu, { width: 2 }),
  head: projectionHead(gpu, { features: 8, hidden: 4, dim: 4 }),
})

test('models say what was wrong with a call', async ({ gpu }) => {
  const { encoder, head } = towerOf(gpu)
  const x = gpu.tensor(new Uint8Array(768), [1, 16, 16, 3])
  const build = new Builder(gpu, 0)
  build.linear('fc', [2, 2])
  build.norm('bn', 2)
  await refusesAll([
    [
      'an option misspelt',
      () => call(resnet8, gpu, { widht: 4 }),
      `resnet8: there is no option 'widht'; did you mean 'width'? Its options are stem, width, zeroInitResidual, seed`,
    ],
    [
      'a stem that is none',
      () => call(resnet8, gpu, { stem: 'Cifar' }),
      `resnet8: stem must be 'cifar' or 'imagenet', got 'Cifar'; did you mean 'cifar'?`,
    ],
    [
      'a Gpu that is not there yet',
      () => call(resnet8, Promise.resolve(gpu)),
      'resnet8: gpu must be a Gpu, as openGpu() resolves to, got a promise; await it',
    ],
    [
      'options for a Gpu',
      () => call(resnet8, { width: 4 }),
      'resnet8: gpu must be a Gpu, as openGpu() resolves to, got an object with width',
    ],
    [
      'no features',
      () => call(projectionHead, gpu, { dim: 4 }),
      'projectionHead: features is missing; it must be a whole number from 1 on',
    ],
    [
      'no options',
      () => call(projectionHead, gpu),
      'projectionHead: features is missing; it must be a whole number from 1 on',
    ],
    [
      'an option of another head',
      () => call(fcHead, gpu, { features: 4, hidden: 2 }),
      `fcHead: there is no option 'hidden'; its options are features, dim, mlp, seed`,
    ],
    [
      'two widths',
      () => call(v3Head, gpu, { name: 'projector', widths: [4, 4] }),
      'v3Head: widths must be three whole numbers, [features, hidden, dim], got an array of 2',
    ],
    [
      'no size',
      () => call(amdimEncoder, gpu, { width: 4 }),
      'amdimEncoder: size is missing; it must be a whole number from 1 on',
    ],
    [
      'no classes',
      () => call(classifiers, gpu, { features: 4 }),
      'classifiers: classes is missing; it must be a whole number from 1 on',
    ],
    [
      'no channels',
      () => make(KeyQueue, gpu, { K: 8 }),
      'KeyQueue: C is missing; it must be a whole number from 1 on',
    ],
    [
      'an option of another dictionary',
      () => make(MemoryBank, gpu, { K: 8, C: 2 }),
      `MemoryBank: there is no option 'K'; its options are n, C, seed`,
    ],
    ['no seed', () => make(Builder, gpu), 'Builder: seed must be a whole number from 0 on, got undefined'],
    [
      'a layer misspelt',
      () => call(build.linear.bind(build), 'a', [2, 2], { biass: false }),
      `Builder.linear: there is no option 'biass'; did you mean 'bias'? Its options are bias, std`,
    ],
    [
      'a name used twice',
      () => build.linear('fc', [2, 2]),
      `Builder: the name fc.weight is used twice, so that the first layer's would be lost; give each layer a name of its own`,
    ],
    [
      'a norm used twice',
      () => build.norm('bn', 2, { scale: false, shift: false }),
      `Builder: the name bn is used twice, so that the first layer's would be lost; give each layer a name of its own`,
    ],
    [
      'no mode',
      () => call(encoder.forward, x),
      'resnet8.forward: the mode must be { training: true } to train, or { training: false } to evaluate, got undefined',
    ],
    [
      "torch's name of a mode",
      () => call(encoder.forward, x, { train: true }),
      `resnet8.forward: there is no option 'train'; did you mean 'training'? Its options are training, splits, tracking, pass`,
    ],
    [
      'a flag for a mode',
      () => call(head.forward, x, true),
      'projectionHead.forward: the mode must be { training: true } to train, or { training: false } to evaluate, got true',
    ],
    [
      'pixels for a tensor',
      () => call(encoder.forward, new Uint8Array(768), { training: true }),
      'resnet8.forward: x must be a tensor, got a Uint8Array of 768 bytes; put values on the GPU with gpu.tensor(values, shape)',
    ],
  ])
})

test('towers of equal names have names of their own', async ({ gpu }) => {
  const [image, text] = [resnet8(gpu, { width: 2 }), resnet8(gpu, { width: 2, seed: 1 })]
  const head = fcHead(gpu, { features: 8, dim: 4 })
  const scale = gpu.variable([1], [])
  const named = parametersOf({ image, text: { encoder: text, head }, scale })
  assert.is(named['image.conv1.weight'], image.parameters['conv1.weight'])
  assert.is(named['text.conv1.weight'], text.parameters['conv1.weight'])
  assert.is(named['text.fc.weight'], head.parameters['fc.weight'])
  assert.is(named['scale'], scale)
  assert.is(Object.keys(named).length, 2 * Object.keys(image.parameters).length + 3)
  assert.equal(Object.keys(parametersOf(image)), Object.keys(image.parameters))
  const saved = await saveModel(gpu, { image, text })
  assert.is(saved.size, 2 * (await saveModel(gpu, image)).size)
  assert.ok(saved.has('text.bn1.num_batches_tracked'))
  await refusesAll([
    [
      'a tower of two encoders',
      () => parametersOf({ encoder: image, head: text }),
      'parametersOf: conv1.weight is the name of two; give each part a name of its own, such as parametersOf({ image: ..., text: ... })',
    ],
    [
      'the same, saved',
      () => saveModel(gpu, { encoder: image, head: text }),
      'saveModel: conv1.weight is the name of two; give each part a name of its own, such as saveModel({ image: ..., text: ... })',
    ],
    [
      'the same, listed',
      () => variablesOf({ encoder: image, head: text }),
      'variablesOf: conv1.weight is the name of two; give each part a name of its own, such as variablesOf({ image: ..., text: ... })',
    ],
    [
      'no model',
      () => call(parametersOf, { encoder: image, head: undefined }),
      'parametersOf: head must be a model, a variable, or several of them by name, got undefined',
    ],
    [
      'a tensor',
      () => call(parametersOf, { scale: gpu.tensor([1], [1]) }),
      'parametersOf: scale must be a model, a variable, or several of them by name, got a Tensor f32 [1]',
    ],
  ])
})

test('methods say what was wrong with a call', async ({ gpu }) => {
  const { encoder, head } = towerOf(gpu)
  const optimizer = new Sgd(parametersOf({ encoder, head }))
  const fine = {
    ...{ encoder, head, optimizer, schedule: 1e-3, temperature: 0.5, batchNorm: 'joint', views: {} },
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
      `simclr: there is no option 'batchnorm'; did you mean 'batchNorm'? Its options are encoder, head, optimizer, temperature, batchNorm, schedule, views, chunk, seed, capture, scaler, frozen`,
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
      'simclr: temperature must be a number above 0, got 0',
    ],
    [
      'an option of another method',
      () => call(simclr, gpu, { ...fine, momentum: 0.9 }),
      `simclr: there is no option 'momentum'; its options are encoder, head, optimizer, temperature, batchNorm, schedule, views, chunk, seed, capture, scaler, frozen`,
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
      () => call(endToEnd, gpu, { query: tower, optimizer, schedule: 1, temperature: 1, views: {} }),
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
      'simclr: a batch must be a tensor [N, H, W, 3], { pixels, shape }, a batch of a data set with images and shape, or { set, indices }, got an object with pixels',
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

test('methods refuse an optimizer that lacks what they train, unless it is said', async ({ gpu }) => {
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
      'simclr: projection.0.weight is said to be frozen, and the optimizer has it; make the optimizer without it',
    ],
  ])
  trains(head, { frozen: encoder })()
  trains({ head }, { frozen: [encoder] })()
  trains({ encoder, rest }, { frozen: [first] })()
  trains({ encoder, rest }, { frozen: { first } })()
})

test('followers pair by name', async ({ gpu }) => {
  const one = (value: number) => gpu.variable([value], [1])
  const optimizer = new Sgd({ 'online.a': one(1), 'online.b': one(2) })
  const turned = { b: one(0), a: one(0) }
  new MovingAverage(optimizer, turned).update(0)
  assert.equal([...(await gpu.read(turned.a))], [1])
  assert.equal([...(await gpu.read(turned.b))], [2])
  const named = new Sgd({ a: one(1), b: one(2) })
  await refusesAll([
    [
      'a name of its own',
      () => new MovingAverage(named, { a: one(0), c: one(0) }),
      'MovingAverage: followers pair by name, and none is named b; rename c, or give all of them names of their own to pair by order',
    ],
  ])
})

test('evaluation says what was wrong with a call', async ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3, 4], [2, 2])
  await refusesAll([
    [
      'an option misspelt',
      () => call(knn, x, [0, 1], x, { neighbours: 5 }),
      `knn: there is no option 'neighbours'; its options are k, temperature, classes, normalized, chunk`,
    ],
    [
      'an array for a tensor',
      () => call(knn, [1, 2], [0, 1], x),
      'knn: features must be a tensor, got an array of 2; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [
      'no labels',
      () => call(knn, x, undefined, x),
      'knn: labels must be a tensor, or an array of whole numbers, got undefined',
    ],
    [
      'no labels to compare',
      () => call(accuracy, [0, 1]),
      'accuracy: labels must be an array of classes, got undefined',
    ],
    [
      'a model for a function',
      () => call(embed, gpu, resnet8(gpu, { width: 2 }), [], [16, 16, 3]),
      'embed: encode must be a function, got an object with parameters, norms, features, forward',
    ],
    [
      'no batches',
      () => call(embed, gpu, () => x, undefined, [16, 16, 3]),
      'embed: batches must be an iterable of batches, each with images, got undefined',
    ],
    [
      'no image',
      () => call(embed, gpu, () => x, []),
      'embed: image must be the [H, W, C] of an image, got undefined',
    ],
    [
      'no optimizer of a classifier',
      () => call(classifier, gpu, { features: () => x, classify: () => x, schedule: 1, image: [1, 1, 3] }),
      'classifier: optimizer is missing; it must be an optimizer such as Sgd',
    ],
    [
      'a Gpu that is not there yet',
      () => call(embed, openGpu, () => x, [], [16, 16, 3]),
      'embed: gpu must be a Gpu, as openGpu() resolves to, got a function',
    ],
  ])
})

test.run()
