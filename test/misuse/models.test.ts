// Tests the errors of models for wrong arguments from plain JavaScript.

import * as assert from 'uvu/assert'
import { MovingAverage } from '../../engine/optim/moving-average.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { amdimEncoder } from '../../models/amdim-encoder.ts'
import { classifiers } from '../../models/classifiers.ts'
import { projectionHead } from '../../models/heads.ts'
import { KeyQueue } from '../../models/key-queue.ts'
import { Builder } from '../../models/builder.ts'
import { MemoryBank } from '../../models/memory-bank.ts'
import { mocoHead, mocoV3Head } from '../../models/moco-heads.ts'
import { convNeXt, convNeXtTiny } from '../../models/convnext.ts'
import { mlp } from '../../models/mlp.ts'
import { signalEncoder } from '../../models/signal.ts'
import { bagOfTokens, textTransformer } from '../../models/text.ts'
import { byteTokens } from '../../models/tokens.ts'
import { vit } from '../../models/vit.ts'
import { resnet8 } from '../../models/resnet.ts'
import { saveModel, variablesOf } from '../../models/state.ts'
import { type Tower, parametersOf } from '../../models/parts.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, make, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('misuse of models')

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
      `resnet8: there is no option 'widht'; did you mean 'width'? Its options are stem, width, channels, zeroInitResidual, seed`,
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
      () => call(mocoHead, gpu, { features: 4, hidden: 2 }),
      `mocoHead: there is no option 'hidden'; its options are features, dim, mlp, seed`,
    ],
    [
      'two widths',
      () => call(mocoV3Head, gpu, { name: 'projector', widths: [4, 4] }),
      'mocoV3Head: widths must be three whole numbers, [features, hidden, dim], got an array of 2',
    ],
    [
      'no inputs',
      () => call(mlp, gpu, { widths: [4] }),
      'mlp: inputs is missing; it must be a whole number from 1 on',
    ],
    [
      'one width',
      () => call(mlp, gpu, { inputs: 3, widths: 4 }),
      'mlp: widths must be an array of whole numbers from 1 on, got 4',
    ],
    [
      'rows of another width',
      () => mlp(gpu, { inputs: 3, widths: [4] }).forward(x, { training: false }),
      'mlp: x must be [N, 3], got [1, 16, 16, 3]',
    ],
    [
      'no channels of signals',
      () => call(signalEncoder, gpu),
      'signalEncoder: channels is missing; it must be a whole number from 1 on',
    ],
    [
      'a window without a middle',
      () => signalEncoder(gpu, { channels: 1, window: 4 }),
      'signalEncoder: window must be an odd whole number, got 4',
    ],
    [
      'images for signals',
      () =>
        signalEncoder(gpu, { channels: 3, width: 2, depths: [1] }).forward(x, { training: false }),
      'signalEncoder: x must be [N, L, 3], got [1, 16, 16, 3]',
    ],
    [
      'a text that is no list',
      () => call(byteTokens, 'a disc', { length: 4 }),
      `byteTokens: texts must be an array of strings, got 'a disc'`,
    ],
    [
      'tokens of no length',
      () => call(byteTokens, ['a disc']),
      'byteTokens: length is missing; it must be a whole number from 1 on',
    ],
    [
      'more tokens than memory holds',
      () => byteTokens(['a', 'disc'], { length: 1e12 }),
      'byteTokens: length must be at most 268435456 for 2 texts, got 1000000000000; give fewer texts at a time, or a shorter length',
    ],
    [
      'a layer without a name',
      () => Reflect.apply(Builder.prototype.dropout, new Builder(gpu, 0), [undefined, 0.5]),
      'Builder: the name of a layer must be a string, got undefined',
    ],
    [
      'sizes of a layer that are none',
      () => call(build.linear.bind(build), 'none', 3),
      'Builder.linear: sizes of none must be two whole numbers from 1 on, [in, out], got 3',
    ],
    [
      'a convolution without a channel',
      () => build.conv('none', [3, 0]),
      'Builder.conv: channels of none must be two whole numbers from 1 on, [in, out], got an array of 2',
    ],
    [
      'a batch norm of half a channel',
      () => build.norm('none', 2.5),
      'Builder: the channels of none must be a whole number from 1 on, got 2.5',
    ],
    [
      'one name for a convolution and its norm',
      () => call(build.convNorm.bind(build), 'none', [3, 4]),
      "Builder.convNorm: names must be two names, of the convolution and of its norm, got 'none'",
    ],
    [
      'a spread below 0',
      () => build.drawn('none', [2, 2], -1),
      'Builder.drawn: std of none must be a number from 0 to 3.4e38, got -1',
    ],
    [
      'a parameter without values',
      () => build.drawn('none', [2, 0], 1),
      'Builder.drawn: the shape of none must be an array of whole numbers from 1 on, got an array of 2',
    ],
    [
      'a norm of no channels',
      () => new Builder(gpu, 0).layerNorm('c', 0),
      'Builder.layerNorm: C of c must be a whole number from 1 on, got 0',
    ],
    [
      'images for tokens',
      () => bagOfTokens(gpu, { width: 2 }).forward(x, { training: false }),
      'bagOfTokens: tokens must be [N, L], got [1, 16, 16, 3]',
    ],
    [
      'heads that do not divide',
      () => textTransformer(gpu, { length: 4, width: 6, heads: 4 }),
      'textTransformer: heads must divide the width 6, got 4',
    ],
    [
      'a size for the width',
      () => call(vit, gpu, { size: 32, depth: 1, heads: 1 }),
      'vit: width is missing; it must be a whole number from 1 on',
    ],
    [
      'depths without widths',
      () => call(convNeXt, gpu, { depths: [1] }),
      'convNeXt: widths is missing; it must be an array of whole numbers from 1 on',
    ],
    [
      'an option of another encoder',
      () => call(convNeXtTiny, gpu, { size: 32 }),
      `convNeXtTiny: there is no option 'size'; its options are patch, channels, dropPath, layerScale, seed`,
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
    [
      'no seed',
      () => make(Builder, gpu),
      'Builder: seed must be a whole number from 0 to below 2^32, got undefined',
    ],
    [
      'a layer misspelt',
      () => call(build.linear.bind(build), 'a', [2, 2], { biass: false }),
      `Builder.linear: there is no option 'biass'; did you mean 'bias'? Its options are bias, std`,
    ],
    [
      'a name used twice',
      () => build.linear('fc', [2, 2]),
      `Builder: the name fc.weight is used twice, which would lose the first layer's parameters; give each layer a name of its own`,
    ],
    [
      'a norm used twice',
      () => build.norm('bn', 2, { scale: false, shift: false }),
      `Builder: the name bn is used twice, which would lose the first layer's parameters; give each layer a name of its own`,
    ],
    [
      'no mode',
      () => call(encoder.forward, x),
      'resnet8.forward: the mode must be { training: true } to train, or { training: false } to evaluate, got undefined',
    ],
    [
      "torch's name of a mode",
      () => call(encoder.forward, x, { train: true }),
      `resnet8.forward: there is no option 'train'; did you mean 'training'? Its options are training, splits, batches, tracking, draws`,
    ],
    [
      'a seed for draws',
      () => call(encoder.forward, x, { training: true, draws: 5 }),
      'resnet8.forward: draws must be what random numbers depend on, { seed, step }, got 5',
    ],
    [
      'an option of a convolution misspelt',
      () => call(build.conv.bind(build), 'c', [2, 2], { pad: 1 }),
      `Builder.conv: there is no option 'pad'; did you mean 'padding'? Its options are size, stride, padding, padMode, groups, bias, init`,
    ],
    [
      'a stride for weights alone',
      () => call(build.filters.bind(build), 'c', [2, 2], { stride: 2 }),
      `Builder.filters: there is no option 'stride'; its options are size, groups, bias, init`,
    ],
    [
      'groups that do not divide',
      () => build.conv('c', [6, 4], { groups: 3 }),
      'Builder.conv: groups must divide the channels of c, 6 and 4, got 3',
    ],
    [
      'initial values that are none',
      () => call(build.conv.bind(build), 'c', [2, 2], { init: 'xavier' }),
      `Builder.conv: init must be 'he', 'torch', 'zero' or 'identity', or { std } above 0, got 'xavier'`,
    ],
    [
      'a percentage',
      () => build.dropPath('path', 10),
      'Builder: p of path must be a number from 0 to 1, got 10',
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
  const head = mocoHead(gpu, { features: 8, dim: 4 })
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
    [
      'one follower of two',
      () => {
        const shared = one(0)
        return new MovingAverage({ a: one(1), b: one(2) }, { a: shared, b: shared })
      },
      'MovingAverage: followers a and b are one variable; give each a variable of its own',
    ],
    [
      'a follower that is followed',
      () => {
        const [a, b] = [one(1), one(2)]
        return new MovingAverage({ a, b }, { a: b, b: one(0) })
      },
      'MovingAverage: follower a is followed itself, as b; give a variable of its own, such as a copy',
    ],
    [
      'a stranger left alone',
      () => new MovingAverage({ a: one(1) }, { a: one(0) }, { b: one(0) }),
      'MovingAverage: alone.b must be one of the parameters that are followed; leave it out',
    ],
  ])
})

test.run()
