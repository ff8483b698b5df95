// Tests how a NaN in one number of one input spreads to results and gradients, op by op, as in
// PyTorch. The counts beside each op are the numbers that it reaches. nan-losses.test.ts has
// contrastive losses, gemm-tiled.test.ts products on GPUs.

import * as assert from 'uvu/assert'
import { type Shape, type Tensor, type Variable, sizeOf } from '../../kernels/op.ts'
import { attention } from '../../kernels/attention/attention.ts'
import { augment } from '../../kernels/augment/augment.ts'
import {
  adjustBrightness,
  adjustContrast,
  adjustHue,
  adjustSaturation,
  gaussianBlur,
} from '../../kernels/augment/functional.ts'
import { avgPool } from '../../kernels/pool/avg-pool.ts'
import { batchNorm } from '../../kernels/norm/batch-norm.ts'
import { bankUpdate } from '../../kernels/state/bank-update.ts'
import { conv2d } from '../../kernels/conv/conv2d.ts'
import { crossEntropy } from '../../kernels/loss/cross-entropy.ts'
import { dropout } from '../../kernels/elementwise/dropout.ts'
import { exp } from '../../kernels/elementwise/exp.ts'
import { globalAvgPool } from '../../kernels/pool/global-avg-pool.ts'
import { l2Normalize } from '../../kernels/reduce/l2-normalize.ts'
import { leakyRelu } from '../../kernels/elementwise/leaky-relu.ts'
import { linear } from '../../kernels/matmul/linear.ts'
import { groupNorm } from '../../kernels/norm/group-norm.ts'
import { layerNorm } from '../../kernels/norm/layer-norm.ts'
import { log } from '../../kernels/elementwise/log.ts'
import { logSoftmax } from '../../kernels/reduce/log-softmax.ts'
import { logSumExp } from '../../kernels/reduce/logsumexp.ts'
import { max } from '../../kernels/reduce/max.ts'
import { maxPool } from '../../kernels/pool/max-pool.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import { sigmoid } from '../../kernels/elementwise/sigmoid.ts'
import { softmax } from '../../kernels/reduce/softmax.ts'
import { softplus } from '../../kernels/elementwise/softplus.ts'
import { sqrt } from '../../kernels/elementwise/sqrt.ts'
import { tanh } from '../../kernels/elementwise/tanh.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { Gradients } from '../../engine/optim/gradients.ts'
import { Adam, Lars, Sgd } from '../../engine/optim/optimizer.ts'
import { MovingAverage } from '../../engine/optim/moving-average.ts'
import { knn } from '../../evaluate/knn.ts'
import { KeyQueue } from '../../models/key-queue.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('NaN')

type Named = Record<string, Variable>

interface Case {
  readonly apply: (...inputs: Tensor[]) => Tensor
  readonly shapes: readonly Shape[]
  /** By the input whose second number is NaN: how many numbers of the result, and of each input's
   *  gradient, are NaN. */
  readonly reach: readonly (readonly [result: number, ...gradients: number[]])[]
  /** Of the inputs, instead of random ones. */
  readonly values?: readonly number[]
}

const one = (
  apply: (x: Tensor) => Tensor,
  result: number,
  gradient: number,
  shape: Shape = [2, 3],
): Case => ({
  apply,
  shapes: [shape],
  reach: [[result, gradient]],
})

const norm = (training: boolean): Case => ({
  apply: (x, gamma, beta) => batchNorm(x, gamma, beta, null, { training }),
  shapes: [[4, 3], [3], [3]],
  reach: [
    [4, 4, 1, 0], // a channel
    [4, 4, 0, 0],
    [4, 0, 0, 0],
  ],
})

/** A norm of [2, 6] in groups of `size` numbers. */
const grouped = (apply: Case['apply'], size: number): Case => ({
  apply,
  shapes: [[2, 6], [6], [6]],
  reach: [
    [size, size, size, 0], // a group
    [2, 2 * size, 0, 0],
    [2, 0, 0, 0],
  ],
})

const cases: Readonly<Record<string, Case>> = {
  exp: one(exp, 1, 1),
  log: one(log, 1, 1),
  sqrt: one(sqrt, 1, 1),
  sigmoid: one(sigmoid, 1, 1),
  softplus: one(softplus, 1, 1),
  tanh: one(tanh, 1, 1),
  relu: one(relu, 1, 0), // the gradient passes
  leakyRelu: one((x) => leakyRelu(x), 1, 0), // it is multiplied by the slope
  'dropout, kept or not': one(
    (x) => dropout(x, 0.5, { seed: 1, step: 0, stream: 0 }),
    1,
    0,
    [1, 2],
  ),
  'dropout of all': one((x) => dropout(x, 1, { seed: 1, step: 0, stream: 0 }), 1, 0),
  l2Normalize: one((x) => l2Normalize(x), 3, 3),
  logSoftmax: one((x) => logSoftmax(x), 3, 3),
  softmax: one((x) => softmax(x), 3, 3),
  logSumExp: one((x) => logSumExp(x), 1, 3),
  max: one((x) => max(x, 1), 1, 0), // the gradient goes to the NaN
  crossEntropy: one((x) => crossEntropy(x, [1, 0]), 1, 3), // of the label
  'crossEntropy, another': one((x) => crossEntropy(x, [0, 0]), 1, 3),
  'crossEntropy, ignored': one((x) => crossEntropy(x, [-100, 0]), 0, 0),
  maxPool: one((x) => maxPool(x, { size: 2, stride: 1 }), 2, 0, [1, 3, 3, 1]),
  avgPool: one((x) => avgPool(x, { size: 2, stride: 1 }), 2, 0, [1, 3, 3, 1]),
  globalAvgPool: one(globalAvgPool, 1, 0, [1, 3, 3, 2]),
  linear: {
    apply: (x, w, b) => linear(x, w, b),
    shapes: [[2, 3], [4, 3], [4]],
    reach: [
      [4, 0, 4, 0],
      [2, 2, 0, 0],
      [2, 0, 0, 0],
    ],
  },
  conv2d: {
    apply: (x, w) => conv2d(x, w, { padding: 1 }),
    shapes: [
      [1, 3, 3, 1],
      [3, 3, 1, 2],
    ],
    reach: [
      [12, 0, 12], // six places of two channels
      [9, 9, 0],
    ],
  },
  'conv2d in groups': {
    apply: (x, w) => conv2d(x, w, { padding: 1, groups: 2 }),
    shapes: [
      [1, 3, 3, 2],
      [3, 3, 1, 2],
    ],
    reach: [
      [4, 0, 4], // four places of one channel
      [6, 6, 0], // a row of taps that lies in the padding is left out, which PyTorch leaves open
    ],
  },
  attention: {
    apply: (q, k, v) => attention(q, k, v),
    shapes: [
      [1, 3, 1, 4],
      [1, 3, 1, 4],
      [1, 3, 1, 4],
    ],
    reach: [
      [4, 4, 12, 12], // a query's weights
      [12, 12, 12, 12],
      [3, 12, 12, 0], // a feature of every query
    ],
  },
  batchNorm: norm(true),
  layerNorm: grouped((x, gamma, beta) => layerNorm(x, gamma, beta), 6),
  groupNorm: grouped((x, gamma, beta) => groupNorm(x, 2, gamma, beta), 3),
}

/** How many of a tensor's numbers are NaN. */
const nans = async (gpu: Gpu, x: Tensor | undefined) =>
  x ? (await gpu.read(x)).filter(Number.isNaN).length : undefined

/** Which ops are run on which: those whose kernels differ, but for products, slow to compile. */
const machines = {
  device: [{}, Object.keys(cases)],
  gpu: [
    { kernels: 'gpu' },
    [
      'l2Normalize',
      'softmax',
      'batchNorm',
      'layerNorm',
      'groupNorm',
      'crossEntropy',
      'max',
      'maxPool',
      'conv2d in groups',
    ],
  ],
  'device, activations in f16': [{ activations: 'f16' }, ['relu', 'conv2d', 'batchNorm']],
} as const

for (const [machine, [options, names]] of Object.entries(machines))
  test(`reaches what it does in PyTorch: ${machine}`, async ({ gpu: host }) => {
    const gpu = new Gpu(host.device, options)
    for (const name of names) {
      const { apply, shapes, reach } = cases[name] ?? norm(true)
      for (const [input, [result, ...expected]] of reach.entries()) {
        const inputs = shapes.map((shape, i) => {
          const values = random(sizeOf(shape), i + 1).map((v) => Math.abs(v) + 0.1)
          if (i === input) values[1] = NaN
          return gpu.tensor(values, shape)
        })
        const y = apply(...inputs)
        const gradients = gpu.backward(y, gpu.tensor(random(sizeOf(y.shape), 9), y.shape))
        const found = [y, ...inputs.map((x) => gradients.of(x))]
        const got = await Promise.all(found.map((x) => nans(gpu, x)))
        assert.equal(
          got,
          [result, ...expected],
          `${name}, NaN in input ${input}: in result and gradients`,
        )
      }
    }
    gpu.destroy()
  })

test('l2Normalize of a row with NaN is NaN, not 1e12 times its other numbers', async ({ gpu }) => {
  const x = gpu.tensor([NaN, 1, 2, 3, 0, 4], [2, 3])
  const y = l2Normalize(x)
  assert.equal(
    Array.from(await gpu.read(y), (v) => Math.round(v * 10)),
    [NaN, NaN, NaN, 6, 0, 8],
  )
  const bank = gpu.variable([1, 0, 0, 1], [2, 2])
  bankUpdate(bank, gpu.tensor([NaN, 1], [1, 2]), gpu.tensor(new Int32Array([1]), [1]), 0.5)
  assert.equal([...(await gpu.read(bank))], [1, 0, NaN, NaN])
})

test('running statistics: NaN in a batch stays in them, and in all that they normalise', async ({
  gpu,
}) => {
  for (const rectified of [false, true]) {
    const options = { relu: rectified }
    const running = { mean: gpu.variable([0, 0, 0], [3]), variance: gpu.variable([1, 1, 1], [3]) }
    const [gamma, beta] = [gpu.tensor([1, 1, 1], [3]), gpu.tensor([0, 0, 0], [3])]
    const fine = random(12, 1)
    batchNorm(gpu.tensor(fine.with(1, NaN), [4, 3]), gamma, beta, running, {
      ...options,
      training: true,
    })
    assert.equal(Array.from(await gpu.read(running.mean), Number.isNaN), [false, true, false])
    assert.equal(Array.from(await gpu.read(running.variance), Number.isNaN), [false, true, false])
    const y = batchNorm(gpu.tensor(fine, [4, 3]), gamma, beta, running, {
      ...options,
      training: false,
    })
    assert.equal(
      Array.from(await gpu.read(y), Number.isNaN),
      fine.map((_, e) => e % 3 === 1),
    )
  }
})

test('optimizers: NaN in a gradient makes its weights NaN, under LARS, whose norm it is in, the parameter', async ({
  gpu,
}) => {
  for (const [make, reached] of [
    [(w: Named) => new Sgd(w, { momentum: 0.9 }), 1],
    [(w: Named) => new Adam(w), 1],
    [(w: Named) => new Lars(w), 70],
  ] as const) {
    const parameters = { w: gpu.variable(random(70, 1), [7, 10]), v: gpu.variable([1, 2], [2]) }
    const follower = gpu.variable(random(70, 1), [7, 10])
    const optimizer = make(parameters)
    const average = new MovingAverage(optimizer, { w: follower, v: gpu.variable([1, 2], [2]) })
    const given = [
      [parameters.w, gpu.tensor(random(70, 2).with(3, NaN), [7, 10])],
      [parameters.v, gpu.tensor([1, 1], [2])],
    ] as const
    gpu.step(() => {
      optimizer.step(new Gradients(given), 0.1)
      average.update(0.9)
    })
    const name = optimizer.constructor.name
    assert.is(await nans(gpu, parameters.w), reached, name)
    assert.is(await nans(gpu, parameters.v), 0, name)
    assert.is(await nans(gpu, follower), reached, `${name}, what follows`)
  }
})

test('a NaN key stays in the queue until it is the oldest', async ({ gpu }) => {
  const queue = new KeyQueue(gpu, { K: 4, C: 2, seed: 1 })
  queue.enqueue(gpu.tensor([NaN, 1, 0, 1], [2, 2]))
  assert.is(await nans(gpu, queue.keys), 1)
  queue.enqueue(gpu.tensor([1, 0, 0, 1], [2, 2]))
  assert.is(await nans(gpu, queue.keys), 1)
  queue.enqueue(gpu.tensor([1, 0, 0, 1], [2, 2]))
  assert.is(await nans(gpu, queue.keys), 0)
})

test('kNN refuses features and queries with NaN', async ({ gpu }) => {
  const fine = random(12, 1)
  for (const [f, q] of [
    [fine.with(4, NaN), fine],
    [fine, fine.with(4, NaN)],
  ] as const) {
    const result = knn(gpu.tensor(f, [4, 3]), [0, 1, 0, 1], gpu.tensor(q, [4, 3]), { k: 1 })
    assert.match(await result.then(String, String), /finite/)
  }
})

test('augmentation keeps a NaN pixel, and spreads it as far as what is computed from it', async ({
  gpu,
}) => {
  const image = Array.from({ length: 27 }, (_, i) => (i % 7) / 7)
  const x = gpu.tensor(image.with(13, NaN), [1, 3, 3, 3]) // the green of the pixel in the middle
  for (const [name, y, reached] of [
    ['brightness', adjustBrightness(x, 0.5), 1],
    ['saturation', adjustSaturation(x, 0.5), 3],
    ['hue', adjustHue(x, 0.2), 3],
    ['contrast', adjustContrast(x, 0.5), 27], // the mean of the image
    ['blur', gaussianBlur(x, 3, 1), 9],
    ['bicubic', augment(x, { size: 3, resample: 'bicubic' }, { seed: 1, step: 0, view: 0 }), 9],
  ] as const)
    assert.is(await nans(gpu, y), reached, name)
})

test.run()
