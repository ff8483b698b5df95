// What cannot be exported is refused in words.

import { add } from '../../kernels/elementwise/add.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { batchNorm } from '../../kernels/norm/batch-norm.ts'
import { type Tensor, op } from '../../kernels/op.ts'
import { l2Normalize } from '../../kernels/reduce/l2-normalize.ts'
import { mean } from '../../kernels/reduce/mean.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { topK } from '../../kernels/reduce/top-k.ts'
import { chunk } from '../../kernels/shape/chunk.ts'
import { concat } from '../../kernels/shape/concat.ts'
import { expand } from '../../kernels/shape/expand.ts'
import { reshape } from '../../kernels/shape/reshape.ts'
import { slice } from '../../kernels/shape/slice.ts'
import { transpose } from '../../kernels/shape/transpose.ts'
import { affine } from '../../kernels/wgsl/affine.ts'
import { exportOnnx } from '../../models/export-onnx.ts'
import { resnet8 } from '../../models/resnet.ts'
import { summary } from '../../models/summary.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refusesAll } from '../fixtures/misuse.ts'
import { plainModel } from '../fixtures/plain-model.ts'

const test = gpuSuite('ONNX refusals')

const ONE_BY_ONE =
  'works on the batch axis; the file takes any number N of samples, so each must be computed by itself'

test('ops along the batch axis are refused', async ({ gpu }) => {
  const w = gpu.variable(new Float32Array(20), [5, 4])
  const mixed: Record<string, (x: Tensor) => Tensor> = {
    'mean of [N, 4]': (x) => mean(x),
    'sum of [N, 4]': (x) => sum(x, -2),
    'concat of [N, 4], [N, 4]': (x) => concat([x, x], 0),
    'concat of [N, 4], [5, 4]': (x) => concat([x, w], 1),
    'slice of [N, 4]': (x) => slice(x, -2, 0, 2),
    'slice of [4 N]': (x) => slice(reshape(x, [-1]), 0, 0, 4),
    'chunk of [2 N, 2]': (x) => chunk(reshape(x, [-1, 2]), 2, 0)[0] ?? x,
    'transpose of [N, 4]': (x) => transpose(x),
    'reshape of [N, 4]': (x) => reshape(x, [4, -1]),
    'expand of [N, 4]': (x) => expand(x, [2, -1, -1]),
    'l2Normalize of [N, 4]': (x) => l2Normalize(x, { axis: 0 }),
    'add of [N, 4], [N, 1, 4]': (x) => add(x, reshape(x, [-1, 1, 4])),
    'mul of [N, 4], [5, 4]': (x) => mul(x, w),
  }
  await refusesAll(
    Object.entries(mixed).map(([name, forward]) => [
      name,
      () => exportOnnx(gpu, plainModel(4, forward), { input: [4] }),
      `exportOnnx: ${name} ${ONE_BY_ONE}`,
    ]),
  )
})

const leaky = op<[x: Tensor], [y: Tensor], { readonly slope: number }>({
  name: 'relu',
  shape: (_, x) => x,
  forward: (run, _, x) => [run.view(x, x.shape)],
  backward: (run, _, [dy]) => [run.view(dy, dy.shape)],
})

test('what cannot be exported is named', async ({ gpu }) => {
  const exported = (forward: (x: Tensor) => Tensor, half = false) =>
    exportOnnx(gpu, plainModel(1, forward), { input: [4], half })
  const model = plainModel(1, (x) => relu(topK(x, 1).values))
  const w = gpu.variable(new Float32Array(4), [4])
  const far = gpu.variable([1, 65519, 65520, -1e9])
  const running = { mean: w, variance: w, batches: 1 }
  const safetensors = 'the model can be saved as safetensors'
  await refusesAll([
    [
      'an op without a form',
      () => exportOnnx(gpu, model, { input: [4] }),
      `exportOnnx: topK of [N, 4] has no ONNX form here; ${safetensors}`,
    ],
    [
      'a number of the step',
      () => exported((x) => affine(x, () => 2, 0)),
      `exportOnnx: affine of [N, 4] has no ONNX form here, as its number changes from step to step; ${safetensors}`,
    ],
    [
      "an attribute of another program's op of this name",
      () => exported((x) => leaky({ slope: 0.1 }, x)),
      `exportOnnx: relu of [N, 4] has no ONNX form here, as nothing is known of its 'slope'; ${safetensors}`,
    ],
    [
      'channels in a sequence',
      () =>
        exportOnnx(
          gpu,
          plainModel(4, (x) => batchNorm(x, w, w, running, { training: false })),
          { input: [3, 4] },
        ),
      `exportOnnx: batchNorm of [N, 3, 4], [4], [4] has no ONNX form here, as its channels are neither those of images nor of rows; ${safetensors}`,
    ],
    [
      'a number outside of f16',
      () => exported((x) => sum(mul(x, 1e-9), 1, { keepDims: true }), true),
      "exportOnnx: the forward's number 1e-9 lies outside of f16; leave out half, or choose one between 6e-8 and 65504",
    ],
    [
      'a weight beyond f16',
      () =>
        exportOnnx(
          gpu,
          { ...plainModel(1, (x) => sum(mul(x, far), 1, { keepDims: true })), parameters: { far } },
          { input: [4], half: true },
        ),
      'exportOnnx: far holds 65520, which f16 makes infinite (its largest number is 65504); leave out half',
    ],
    [
      'another number of features',
      () => exported((x) => x),
      'exportOnnx: the forward must return [N, 1], a row of features for each sample, got [5, 4] for N = 5',
    ],
    [
      'channels before rows',
      () => exportOnnx(gpu, resnet8(gpu, { width: 2 }), { input: [3, 32, 32] }),
      'conv2d: channels differ, x [5, 3, 32, 32] has 32 and w [3, 3, 3, 2] takes 3; input is [H, W, C]: [32, 32, 3] rather than [3, 32, 32]',
    ],
    [
      'channels before rows of a summary',
      () => summary(resnet8(gpu, { width: 2 }), [1, 3, 32, 32]),
      'conv2d: channels differ, x [1, 3, 32, 32] has 32 and w [3, 3, 3, 2] takes 3; an image is [H, W, C]: [32, 32, 3] rather than [3, 32, 32]',
    ],
    [
      'no input',
      () => exportOnnx(gpu, model, {} as never), // as JavaScript may
      'exportOnnx: input is missing; it must be [H, W, C], [L, C] or [F], whole numbers from 1 on',
    ],
  ])
})

test.run()
