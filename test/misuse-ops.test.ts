// What plain JavaScript passes to ops and kernels by mistake, and what it is told.

import * as assert from 'uvu/assert'
import { add } from '../kernels/add.ts'
import { addPooled } from '../kernels/add-pooled.ts'
import { adaptiveAvgPool } from '../kernels/adaptive-avg-pool.ts'
import { augment } from '../kernels/augment.ts'
import { adjustBrightness, augmentWith } from '../kernels/augment-functional.ts'
import { testTransform } from '../kernels/augment-recipes.ts'
import { avgPool } from '../kernels/avg-pool.ts'
import { batchNorm } from '../kernels/batch-norm.ts'
import { clip } from '../kernels/clip.ts'
import { concat } from '../kernels/concat.ts'
import { conv2d } from '../kernels/conv2d.ts'
import { crossEntropy } from '../kernels/cross-entropy.ts'
import { div } from '../kernels/div.ts'
import { dropout } from '../kernels/dropout.ts'
import { enqueue } from '../kernels/enqueue.ts'
import { indexSelect } from '../kernels/gather.ts'
import { infoNce } from '../kernels/infonce.ts'
import { l2Normalize } from '../kernels/l2-normalize.ts'
import { leakyRelu } from '../kernels/leaky-relu.ts'
import { linear } from '../kernels/linear.ts'
import { logSoftmax } from '../kernels/log-softmax.ts'
import { matmul } from '../kernels/matmul.ts'
import { maxPool } from '../kernels/max-pool.ts'
import { mean } from '../kernels/mean.ts'
import { mul } from '../kernels/mul.ts'
import { ntXent } from '../kernels/ntxent.ts'
import { type Tensor, kernel, wgsl } from '../kernels/op.ts'
import { relu } from '../kernels/relu.ts'
import { reshape } from '../kernels/reshape.ts'
import { slice } from '../kernels/slice.ts'
import { sub } from '../kernels/sub.ts'
import { sum } from '../kernels/sum.ts'
import { supCon } from '../kernels/supcon.ts'
import { transpose } from '../kernels/transpose.ts'
import { checkOp } from './check.ts'
import { gpuSuite } from './gpu.ts'
import { type Misuse, call, refusesAll } from './misuse.ts'

const test = gpuSuite('misuse of ops')

test('ops say what was wrong with a call', async ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3, 4], [2, 2])
  const images = gpu.tensor(new Float32Array(48), [1, 4, 4, 3])
  const w = gpu.tensor(new Float32Array(27), [3, 3, 3, 1])
  const misuses: Misuse[] = [
    ['a loss of one view', () => call(clip, x), 'clip: z2 must be a tensor, got undefined'],
    [
      'clip of CLIP for clamp',
      () => call(clip, x, 0, 1),
      'clip: z2 must be a tensor, got 0; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [
      'two numbers',
      () => call(sub, 1, 2),
      'sub: a must be a tensor, got 1; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [
      'an array for a tensor',
      () => call(mul, x, [1, 2]),
      'mul: b must be a tensor, got an array of 2; put values on the GPU with gpu.tensor(values, shape)',
    ],
    ['nothing for a tensor', () => call(relu), 'relu: x must be a tensor, got undefined'],
    [
      'a promise for a tensor',
      () => call(relu, Promise.resolve(x)),
      'relu: x must be a tensor, got a promise; await it',
    ],
    [
      'an option misspelt',
      () => call(conv2d, images, w, { strid: 2 }),
      `conv2d: there is no option 'strid'; did you mean 'stride'? Its options are stride, padding, padMode`,
    ],
    [
      'an option abbreviated',
      () => call(conv2d, images, w, { pad: 1 }),
      `conv2d: there is no option 'pad'; did you mean 'padding'? Its options are stride, padding, padMode`,
    ],
    [
      'a mode that is none',
      () => call(conv2d, images, w, { padMode: 'Reflect' }),
      `conv2d: padMode must be 'zeros' or 'reflect', got 'Reflect'; did you mean 'reflect'?`,
    ],
    [
      'a string for a number',
      () => call(conv2d, images, w, { stride: '2' }),
      `conv2d: stride must be a number or [rows, columns], got '2'`,
    ],
    [
      'a number for options',
      () => call(maxPool, images, 2),
      'maxPool: options must be an object with size, stride, padding, got 2',
    ],
    [
      'no options',
      () => call(avgPool, images),
      'avgPool: size is missing; it must be a whole number from 1 on',
    ],
    [
      'no size',
      () => call(addPooled, images, images, {}),
      'addPooled: size is missing; it must be a whole number from 1 on',
    ],
    [
      'a number for a grid',
      () => call(adaptiveAvgPool, images, 2),
      'adaptiveAvgPool: size must be [rows, columns], got 2',
    ],
    [
      'a flag for options',
      () => call(matmul, x, x, true),
      'matmul: options must be an object with transA, transB, got true',
    ],
    [
      "another library's option",
      () => call(matmul, x, x, { transposeB: true }),
      `matmul: there is no option 'transposeB'; its options are transA, transB`,
    ],
    [
      'a string for a flag',
      () => call(sum, x, 1, { keepDims: 'yes' }),
      `sum: keepDims must be true or false, got 'yes'`,
    ],
    [
      'options for axes',
      () => call(sum, x, { keepDims: true }),
      'sum: axes must be a number or a list of them, got an object with keepDims',
    ],
    [
      "numpy's option",
      () => call(mean, x, 0, { keepdims: true }),
      `mean: there is no option 'keepdims'; did you mean 'keepDims'? Its options are keepDims`,
    ],
    ['a string for an axis', () => call(logSoftmax, x, 'last'), `logSoftmax: no axis 'last' in [2, 2]`],
    [
      'options for the temperature',
      () => call(ntXent, x, x, { temperature: 0.5 }),
      'ntXent: the temperature must be a positive number, got an object with temperature',
    ],
    [
      'no temperature',
      () => call(ntXent, x, x),
      'ntXent: the temperature must be a positive number, got undefined',
    ],
    [
      'a number for options of a loss',
      () => call(ntXent, x, x, 0.5, true),
      'ntXent: options must be an object with normalized, got true',
    ],
    [
      'an option of another loss',
      () => call(infoNce, x, x, x, 0.5, { inbatch: true }),
      `infoNce: there is no option 'inbatch'; did you mean 'inBatch'? Its options are normalized, inBatch`,
    ],
    [
      'no labels',
      () => call(supCon, x, x, undefined, 0.5),
      'supCon: labels must be an array of whole numbers or a tensor, got undefined',
    ],
    [
      'labels as words',
      () => call(crossEntropy, x, 'cat'),
      `crossEntropy: indices must be an array of whole numbers or a tensor, got 'cat'`,
    ],
    [
      'an unknown option of a loss',
      () => call(crossEntropy, x, [0, 1], { ignore_index: 0 }),
      `crossEntropy: there is no option 'ignore_index'; did you mean 'ignoreIndex'? Its options are ignoreIndex`,
    ],
    [
      'tensors one by one',
      () => call(concat, x, x),
      'concat: tensors must be an array of tensors, got a Tensor f32 [2, 2]',
    ],
    [
      'an array among tensors',
      () => call(concat, [x, [1]], 0),
      'concat: tensors[1] must be a tensor, got an array of 1; put values on the GPU with gpu.tensor(values, shape)',
    ],
    ['sizes one by one', () => call(reshape, x, 4, 1), 'reshape: the shape must be an array of sizes, got 4'],
    [
      'a number for an order',
      () => call(transpose, x, 1),
      'transpose: the order must be an array of axes, got 1',
    ],
    [
      'an array to slice',
      () => call(slice, [1, 2, 3], 0, 1, 2),
      'slice: x must be a tensor, got an array of 3; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [
      'an axis as options',
      () => call(l2Normalize, x, 1),
      'l2Normalize: options must be an object with axis, eps, got 1',
    ],
    [
      'options for a slope',
      () => call(leakyRelu, x, { slope: 0.1 }),
      'leakyRelu: slope must be a number, got an object with slope',
    ],
    ['no weights', () => call(linear, x), 'linear: w must be a tensor, got undefined'],
    [
      'no indices',
      () => call(indexSelect, x, 0),
      'indexSelect: indices must be an array of whole numbers or a tensor, got undefined',
    ],
    [
      'a tensor for a queue',
      () => call(enqueue, x, x, 0),
      'enqueue: queue must be a variable, got a Tensor f32 [2, 2]',
    ],
    [
      'no training',
      () => call(batchNorm, x, x, x, null, { train: true }),
      `batchNorm: there is no option 'train'; did you mean 'training'? Its options are training, momentum, eps, residual, relu, splits`,
    ],
    [
      'no options of a norm',
      () => call(batchNorm, x, x, x, null, {}),
      'batchNorm: training is missing; it must be true or false',
    ],
    [
      'no seed',
      () => call(dropout, x, 0.5, { step: 0 }),
      'dropout: seed is missing; it must be a whole number from 0 on',
    ],
    [
      'no probability',
      () => call(dropout, x, { seed: 0, step: 0 }),
      'dropout: seed is missing; it must be a whole number from 0 on',
    ],
  ]
  await refusesAll(misuses)
})

test('augmentation says what was wrong with a call', async ({ gpu }) => {
  const images = gpu.tensor(new Float32Array(48), [1, 4, 4, 3])
  const at = { seed: 0, step: 0, view: 0 }
  await refusesAll([
    [
      'no recipe',
      () => call(augment, images, undefined, at),
      'augment: the recipe must be an object such as { flip: 0.5 }, got undefined',
    ],
    [
      'no draws',
      () => call(augment, images, {}),
      'augment: seed is missing; it must be a whole number from 0 on',
    ],
    [
      'a draw misspelt',
      () => call(augment, images, {}, { ...at, ofset: 1 }),
      `augment: there is no option 'ofset'; did you mean 'offset'? Its options are seed, step, view, offset`,
    ],
    [
      'a part misspelt',
      () => call(augment, images, { grayscal: 0.2 }, at),
      `augment: the recipe has no field 'grayscal'; did you mean 'grayscale'? Its fields are size, crop, translate, resample, centerCrop, flip, sharedFlip, jitter, grayscale, blur, testResize, normalize`,
    ],
    [
      'a number for a part',
      () => call(augment, images, { jitter: 0.4 }, at),
      'augment: jitter must be an object with p, brightness, contrast, saturation, hue, got 0.4',
    ],
    [
      'a flag for a probability',
      () => call(augment, images, { flip: true }, at),
      'augment: flip must be a probability from 0 to 1, got true',
    ],
    [
      'a number for a range',
      () => call(augment, images, { crop: { scale: 0.5 } }, at),
      'augment: crop.scale must be [low, high] with 0 < low <= high <= 1, got 0.5',
    ],
    [
      'statistics without a deviation',
      () => call(augment, images, { normalize: { mean: [0, 0, 0] } }, at),
      'augment: std must be three positive numbers, got undefined',
    ],
    [
      'an unknown part of an augmentation',
      () => call(augmentWith, images, { rotate: 90 }),
      `augmentWith: there is no option 'rotate'; its options are crop, flip, jitter, grayscale, blur`,
    ],
    [
      'an unknown option',
      () => call(augmentWith, images, {}, { sise: 4 }),
      `augmentWith: there is no option 'sise'; did you mean 'size'? Its options are size, kernel, normalize`,
    ],
    [
      'no factor',
      () => call(adjustBrightness, images),
      'adjustBrightness: the brightness factor must be at least 0, got undefined',
    ],
    [
      'no recipe to test',
      () => call(testTransform),
      'testTransform: recipe must be an object, got undefined',
    ],
  ])
})

test('f32 images of 0 to 255 are refused wherever they come from', async ({ gpu }) => {
  const bytes = new Float32Array(48).fill(200)
  const shape = [1, 4, 4, 3]
  const at = { seed: 0, step: 0, view: 0 }
  const told =
    'augment: f32 images must be in [0, 1], got a value of 200; divide them by 255, or give them as a Uint8Array'
  await refusesAll([
    ['a tensor', () => augment(gpu.tensor(bytes, shape), { flip: 0.5 }, at), told],
    ['a variable', () => augment(gpu.variable(bytes, shape), { flip: 0.5 }, at), told],
    [
      'a captured step',
      () => gpu.capture((x: Tensor) => augment(x, {}, at)).run({ values: bytes, shape }),
      told,
    ],
    [
      'by hand',
      () => adjustBrightness(gpu.tensor(bytes, shape), 1),
      'adjustBrightness: f32 images must be in [0, 1], got a value of 200; divide them by 255, or give them as a Uint8Array',
    ],
  ])
})

test('kernels refuse what they cannot lay out, and params that are not theirs', async ({ gpu }) => {
  const program = (params: string) => `
    struct Params { ${params} }
    @group(0) @binding(0) var<storage, read_write> y: array<f32>;
    @group(0) @binding(1) var<uniform> p: Params;
    @compute @workgroup_size(64) fn fill() { y[0] = f32(p.count); }`
  const declared = (params: string) => kernel({ raw: [program(params)] } as never)
  const fill = declared('count: u32, shift: i32')
  const run = (params: object) => () => call(gpu.run, fill, { makes: [[1]], params, groups: [1] })
  await refusesAll([
    [
      'a vector',
      () => declared('size: vec2u, count: u32'),
      `kernel fill: members of struct Params must be f32, i32 or u32 without attributes, got 'size: vec2u'; give each component a member of its own`,
    ],
    [
      'an array',
      () => declared('count: array<u32, 4>'),
      `kernel fill: members of struct Params must be f32, i32 or u32 without attributes, got 'count: array<u32'; give each component a member of its own`,
    ],
    [
      'an attribute',
      () => declared('@align(16) count: u32'),
      `kernel fill: members of struct Params must be f32, i32 or u32 without attributes, got '@align(16) count: u32'; give each component a member of its own`,
    ],
    [
      'half precision',
      () => declared('count: f16'),
      `kernel fill: members of struct Params must be f32, i32 or u32 without attributes, got 'count: f16'; give each component a member of its own`,
    ],
    [
      'no entry point',
      () => kernel({ raw: ['fn fill() {}'] } as never),
      'kernel: the WGSL must have an entry point, @compute fn name(...)',
    ],
    [
      'a number in the text',
      () => call(wgsl, { raw: ['const N = ', ';'] }, 5),
      'wgsl: only WGSL fits in a hole, got 5; numbers go in Params or override declarations',
    ],
    [
      'a param misspelt',
      run({ cuont: 1, shift: 0 }),
      `fill: struct Params [count, shift] has no member 'cuont'; did you mean 'count'?`,
    ],
    [
      'one param too many',
      run({ count: 1, shift: 0, more: 1 }),
      `fill: struct Params [count, shift] has no member 'more'`,
    ],
    ['a param too few', run({ count: 1 }), 'fill: no value for param shift'],
    [
      'a fraction',
      run({ count: 2.5, shift: 0 }),
      'fill: param count is u32, so it must be a whole number from 0 to below 2^32, got 2.5',
    ],
    [
      'below 0',
      run({ count: -1, shift: 0 }),
      'fill: param count is u32, so it must be a whole number from 0 to below 2^32, got -1',
    ],
    [
      'NaN',
      run({ count: 1, shift: NaN }),
      'fill: param shift is i32, so it must be a whole number from -2^31 to below 2^31, got NaN',
    ],
    [
      'a tensor too few',
      () => call(gpu.run, fill, { params: { count: 1, shift: 0 }, groups: [1] }),
      'fill: the kernel reads 0 tensors and writes 1, got 0 in reads and 0 in updates and makes together',
    ],
    [
      'a flag',
      run({ count: true, shift: 0 }),
      'fill: param count must be a number, or a function of none that gives one, got true',
    ],
    [
      'a function that gives a fraction',
      run({ count: () => 0.5, shift: 0 }),
      'fill: param count is u32, so it must be a whole number from 0 to below 2^32, got 0.5',
    ],
  ])
  const spaced = declared('\n count : u32, // of elements, a: vec2u\n /* b: vec2u, */ shift: i32,\n')
  assert.equal(spaced.params, fill.params)
})

test('a number may stand on either side', async ({ gpu }) => {
  const each = (f: (v: number) => number) => (a: number[]) => a.map(f)
  await checkOp(
    gpu,
    (x) => add(1, x),
    each((v) => 1 + v),
    [[5]],
  )
  await checkOp(
    gpu,
    (x) => sub(1, x),
    each((v) => 1 - v),
    [[5]],
  )
  await checkOp(
    gpu,
    (x) => mul(2, x),
    each((v) => 2 * v),
    [[5]],
  )
  await checkOp(
    gpu,
    (x) => div(3, add(x, 4)),
    each((v) => 3 / (v + 4)),
    [[5]],
  )
  const step = gpu.capture((x: Tensor) => sum(div(1, x)))
  const given = { values: [1, 2, 4], shape: [3] }
  for (let i = 0; i < 4; i++) assert.equal([...(await gpu.read(step.run(given)))], [1.75])
  assert.is(step.reason, null)
})

test.run()
