// Tests the errors of ops for wrong arguments from plain JavaScript.

import { add } from '../../kernels/elementwise/add.ts'
import { addPooled } from '../../kernels/pool/add-pooled.ts'
import { adaptiveAvgPool } from '../../kernels/pool/adaptive-avg-pool.ts'
import { assign } from '../../kernels/state/assign.ts'
import { attention } from '../../kernels/attention/attention.ts'
import { avgPool } from '../../kernels/pool/avg-pool.ts'
import { batchNorm } from '../../kernels/norm/batch-norm.ts'
import { cast } from '../../kernels/elementwise/cast.ts'
import { clamp } from '../../kernels/elementwise/clamp.ts'
import { clipLoss } from '../../kernels/loss/clip-loss.ts'
import { concat } from '../../kernels/shape/concat.ts'
import { conv2d } from '../../kernels/conv/conv2d.ts'
import { crossEntropy } from '../../kernels/loss/cross-entropy.ts'
import { dropPath } from '../../kernels/elementwise/drop-path.ts'
import { drawParams } from '../../kernels/wgsl/draws.ts'
import { dropout } from '../../kernels/elementwise/dropout.ts'
import { enqueue } from '../../kernels/state/enqueue.ts'
import { indexSelect } from '../../kernels/shape/gather.ts'
import { expand } from '../../kernels/shape/expand.ts'
import { gelu } from '../../kernels/elementwise/gelu.ts'
import { groupNorm } from '../../kernels/norm/group-norm.ts'
import { infoNce } from '../../kernels/loss/infonce.ts'
import { l2Normalize } from '../../kernels/reduce/l2-normalize.ts'
import { leakyRelu } from '../../kernels/elementwise/leaky-relu.ts'
import { layerNorm } from '../../kernels/norm/layer-norm.ts'
import { linear } from '../../kernels/matmul/linear.ts'
import { logSoftmax } from '../../kernels/reduce/log-softmax.ts'
import { matmul } from '../../kernels/matmul/matmul.ts'
import { maxPool } from '../../kernels/pool/max-pool.ts'
import { maximum } from '../../kernels/elementwise/maximum.ts'
import { mean } from '../../kernels/reduce/mean.ts'
import { div } from '../../kernels/elementwise/div.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { similarities } from '../../kernels/loss/nce.ts'
import { ntXent } from '../../kernels/loss/ntxent.ts'
import { pad } from '../../kernels/shape/pad.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { reshape } from '../../kernels/shape/reshape.ts'
import { shuffleOrder } from '../../kernels/state/shuffle-order.ts'
import { slice } from '../../kernels/shape/slice.ts'
import { softmax } from '../../kernels/reduce/softmax.ts'
import { sub } from '../../kernels/elementwise/sub.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { supCon } from '../../kernels/loss/supcon.ts'
import { topK } from '../../kernels/reduce/top-k.ts'
import { transpose } from '../../kernels/shape/transpose.ts'
import { variance } from '../../kernels/reduce/variance.ts'
import { where } from '../../kernels/elementwise/where.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { type Misuse, call, refusesAll } from '../fixtures/misuse.ts'

const test = gpuSuite('misuse of ops')

test('ops say what was wrong with a call', async ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3, 4], [2, 2])
  const images = gpu.tensor(new Float32Array(48), [1, 4, 4, 3])
  const w = gpu.tensor(new Float32Array(27), [3, 3, 3, 1])
  const misuses: Misuse[] = [
    [
      'no temperature of NCE',
      () => call(similarities, x, x, x),
      'similarities: the temperature must be a positive number, got undefined',
    ],
    [
      'a tensor for a variable',
      () => call(assign, x, x),
      'assign: variable must be a variable, got a Tensor f32 [2, 2]',
    ],
    [
      'an element type that is none',
      () => call(cast, x, 'i8'),
      "cast: dtype must be 'f32', 'i32' or 'u8', got 'i8'; did you mean 'u8'?",
    ],
    [
      "PyTorch's name of an option of var",
      () => call(variance, x, 0, { unbiased: false }),
      "variance: there is no option 'unbiased'; its options are keepDims, correction",
    ],
    [
      'one tensor for attention',
      () => call(attention, images),
      'attention: k must be a tensor, got undefined',
    ],
    [
      'no tensor for attention',
      () => call(attention, { q: images }),
      'attention: q must be a tensor, got an object with q',
    ],
    [
      "PyTorch's name of an option",
      () => call(attention, images, images, images, { is_causal: true }),
      "attention: there is no option 'is_causal'; did you mean 'causal'? Its options are scale, causal, lengths",
    ],
    [
      'an infinite scale',
      () => call(attention, images, images, images, { scale: Infinity }),
      'attention: scale must be a finite number, got Infinity',
    ],
    [
      'an array of lengths',
      () => call(attention, images, images, images, { lengths: [4] }),
      'attention: lengths must be a tensor, got an array of 1; put values on the GPU with gpu.tensor(values, shape)',
    ],
    ['a loss of one view', () => call(clipLoss, x), 'clipLoss: z2 must be a tensor, got undefined'],
    [
      'clip of CLIP for clamp',
      () => call(clipLoss, x, 0, 1),
      'clipLoss: z2 must be a tensor, got 0; put values on the GPU with gpu.tensor(values, shape)',
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
      `conv2d: there is no option 'strid'; did you mean 'stride'? Its options are stride, padding, padMode, groups, bias`,
    ],
    [
      'an option abbreviated',
      () => call(conv2d, images, w, { pad: 1 }),
      `conv2d: there is no option 'pad'; did you mean 'padding'? Its options are stride, padding, padMode, groups, bias`,
    ],
    [
      'no whole number of groups',
      () => call(conv2d, images, w, { groups: 0.5 }),
      'conv2d: groups must be a whole number from 1 on, got 0.5',
    ],
    [
      'a flag for a bias',
      () => call(conv2d, images, w, { bias: true }),
      'conv2d: bias must be a tensor, got true',
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
    [
      'a string for an axis',
      () => call(logSoftmax, x, 'last'),
      `logSoftmax: no axis 'last' in [2, 2]`,
    ],
    ['no scales', () => call(layerNorm, x), 'layerNorm: gamma must be a tensor, got undefined'],
    [
      'an approximation that is none',
      () => call(gelu, x, { approximate: 'Tanh' }),
      `gelu: approximate must be 'none' or 'tanh', got 'Tanh'; did you mean 'tanh'?`,
    ],
    ...Object.entries({ add, sub, mul, div }).flatMap(([name, op]): Misuse[] => [
      [
        `NaN to ${name}`,
        () => op(x, NaN),
        `${name}: b must be a tensor, or a number other than NaN, got NaN`,
      ],
      [
        `${name} to NaN`,
        () => op(NaN, x),
        `${name}: a must be a tensor, or a number other than NaN, got NaN`,
      ],
    ]),
    [
      'no limit of clamp',
      () => call(clamp, x, {}),
      'clamp: options must have min, max or both, got an empty object; give one, as in { min: 0 }',
    ],
    [
      'a number for options of clamp',
      () => call(clamp, x, 0, 1),
      'clamp: options must be an object with min, max, got 0',
    ],
    [
      'a limit that is NaN',
      () => call(clamp, x, { min: NaN }),
      'clamp: min must be a number, got NaN',
    ],
    [
      'a number for maximum',
      () => call(maximum, x, 0),
      'maximum: b must be a tensor, got 0; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [
      'no second choice',
      () => call(where, x, x),
      'where: b must be a number, or a tensor, got undefined',
    ],
    [
      'an array for a condition',
      () => call(where, [true, false], x, x),
      'where: condition must be a tensor, got an array of 2; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [
      'sizes one by one for expand',
      () => call(expand, x, 2, 2),
      'expand: the shape must be an array of sizes, got 2',
    ],
    [
      "torch's flat pairs",
      () => call(pad, x, [1, 1]),
      'pad: widths must be [before, after] of each axis, whole numbers from 0 on, got an array of 2',
    ],
    [
      'a mode of padding',
      () =>
        call(
          pad,
          x,
          [
            [0, 0],
            [1, 1],
          ],
          { mode: 'reflect' },
        ),
      `pad: there is no option 'mode'; its options are value`,
    ],
    [
      'an array of weights',
      () => call(crossEntropy, x, [0, 1], { weight: [1, 2] }),
      'crossEntropy: weight must be a tensor, got an array of 2',
    ],
    ['no k', () => call(topK, x), 'topK: k must be a whole number from 1 on, got undefined'],
    [
      'epsilon by another name',
      () => call(layerNorm, x, x, x, { epsilon: 1e-6 }),
      `layerNorm: there is no option 'epsilon'; did you mean 'eps'? Its options are eps`,
    ],
    [
      'scales for groups',
      () => call(groupNorm, x, x, x),
      'groupNorm: groups must be a whole number from 1 on, got a Tensor f32 [2, 2]',
    ],
    [
      'options for an axis',
      () => call(softmax, x, { axis: 1 }),
      `softmax: no axis an object with axis in [2, 2]`,
    ],
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
      `crossEntropy: labels must be an array of whole numbers or a tensor, got 'cat'`,
    ],
    [
      'soft targets as nested arrays',
      () =>
        call(
          crossEntropy,
          gpu.tensor([
            [1, 2],
            [3, 4],
          ]),
          [
            [0.5, 0.5],
            [1, 0],
          ],
        ),
      'crossEntropy: labels must be a flat array of whole numbers [N], got nested arrays; give soft targets as a tensor [N, C], gpu.tensor(targets)',
    ],
    [
      'an unknown option of a loss',
      () => call(crossEntropy, x, [0, 1], { ignore_index: 0 }),
      `crossEntropy: there is no option 'ignore_index'; did you mean 'ignoreIndex'? Its options are ignoreIndex, weight, labelSmoothing`,
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
    [
      'sizes one by one',
      () => call(reshape, x, 4, 1),
      'reshape: the shape must be an array of sizes, got 4',
    ],
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
      `batchNorm: there is no option 'train'; did you mean 'training'? Its options are training, momentum, eps, residual, relu, splits, batches`,
    ],
    [
      'no options of a norm',
      () => call(batchNorm, x, x, x, null, {}),
      'batchNorm: training is missing; it must be true or false',
    ],
    [
      'no seed',
      () => call(dropout, x, 0.5, { step: 0 }),
      'dropout: seed is missing; it must be a whole number from 0 to below 2^32',
    ],
    [
      'a seed beyond its word',
      () => call(dropout, x, 0.5, { seed: 2 ** 32, step: 0, stream: 'fc' }),
      'dropout: seed must be a whole number from 0 to below 2^32, got 4294967296',
    ],
    [
      'a part of a step',
      () => call(dropPath, x, 0.5, { seed: 0, step: 1.5, stream: 'fc' }),
      'dropPath: step must be a whole number from 0 to below 2^32, or a function of none, () => number, got 1.5',
    ],
    ...[-1, 0.5, 2 ** 32, NaN].map((step): Misuse => [
      `a function that returns step ${step}`,
      () => call(dropout, x, 0.5, { seed: 0, step: () => step, stream: `fc of ${step}` }),
      `dropout: step must be a whole number from 0 to below 2^32, got ${step}`,
    ]),
    [
      'a step before the first, of an order',
      () => call(shuffleOrder, x, { seed: 0, step: () => -1 }),
      'shuffleOrder: step must be a whole number from 0 to below 2^32, got -1',
    ],
    [
      'no probability',
      () => call(dropout, x, { seed: 0, step: 0, stream: 'fc' }),
      'dropout: seed is missing; it must be a whole number from 0 to below 2^32',
    ],
    [
      'no layer',
      () => call(dropout, x, 0.5, { seed: 0, step: 0 }),
      'dropout: stream is missing; it must be a string, or a whole number from 0 to below 2^32',
    ],
    [
      'views misspelt',
      () => call(dropPath, x, 0.5, { seed: 0, step: 0, stream: 'fc', viws: 2 }),
      `dropPath: there is no option 'viws'; did you mean 'views'? Its options are seed, step, view, views, offset, network, stream, training`,
    ],
    [
      'a percentage',
      () => dropPath(x, 10, { seed: 0, step: 0, stream: 'fc' }),
      'dropPath: p must lie in [0, 1], got 10',
    ],
    [
      'views that the samples do not divide into',
      () => dropout(x, 0.5, { seed: 0, step: 0, stream: 'fc', views: 5 }),
      'dropout: x must be 5 views of as many samples each, got 2 samples',
    ],
    [
      'a view too many',
      () => drawParams({ seed: 0, step: 0, view: 256 }, 'fc', 2),
      'drawParams: views must be numbered from 0 to 255, got 256',
    ],
    [
      'a batch too large',
      () => drawParams({ seed: 0, step: 0, offset: 2 ** 24 }, 'fc', 2),
      'drawParams: samples must be numbered below 16777216, got offset 16777216 and 2 samples',
    ],
  ]
  await refusesAll(misuses)
})

test.run()
