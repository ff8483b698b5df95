// Tests the summary of models: torchvision's counts, models of one's own, and that nothing runs.

import * as assert from 'uvu/assert'
import { inspect } from 'node:util'
import { add } from '../../kernels/elementwise/add.ts'
import { linear } from '../../kernels/matmul/linear.ts'
import { matmul } from '../../kernels/matmul/matmul.ts'
import { type Tensor, op } from '../../kernels/op.ts'
import { transpose } from '../../kernels/shape/transpose.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { projectionHead } from '../../models/heads.ts'
import { Builder } from '../../models/builder.ts'
import type { Model } from '../../models/model.ts'
import { resnet18, resnet8 } from '../../models/resnet.ts'
import { summary } from '../../models/summary.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, refusesAll } from '../fixtures/misuse.ts'

const [test, full] = quickAndFull(gpuSuite('summary'))

full("a ResNet-18 has torchvision's parameters and multiply-adds", ({ gpu }) => {
  const encoder = resnet18(gpu, { stem: 'imagenet' })
  const { parameters, statistics, flops, rows, unused } = summary(encoder, [1, 224, 224, 3])
  assert.is(parameters, 11_689_512 - 513_000) // without the classifier
  assert.is(statistics, 9600)
  assert.is(flops, 2 * (1_814_073_344 - 512_000)) // fvcore counts a multiply-add once
  assert.is(rows.length, 19) // 17 convolutions, 3 of them with a shortcut's, and 2 pools
  assert.equal(unused, [])
})

test('a ResNet has the multiply-adds of its convolutions, and their parameters', ({ gpu }) => {
  const [N, w] = [3, 4]
  const { parameters, flops, rows } = summary(resnet8(gpu, { width: w }), [N, 32, 32, 3])
  // [side, taps, C, K] of each convolution
  const convolutions = [
    [32, 9, 3, w],
    ...[32, 32].map((side) => [side, 9, w, w]),
    ...[1, 2].flatMap((stage) => {
      const [side, C] = [32 / 2 ** stage, w * 2 ** (stage - 1)]
      return [
        [side, 9, C, 2 * C],
        [side, 1, C, 2 * C],
        [side, 9, 2 * C, 2 * C],
      ]
    }),
  ] as const
  const sum = (of: (side: number, taps: number, C: number, K: number) => number) =>
    convolutions.reduce((all, [side = 0, taps = 0, C = 0, K = 0]) => all + of(side, taps, C, K), 0)
  assert.is(
    flops,
    sum((side, taps, C, K) => 2 * N * side * side * taps * C * K),
  )
  assert.is(
    parameters,
    sum((_, taps, C, K) => taps * C * K + 2 * K),
  ) // with batch norms
  assert.equal(rows[0], {
    ...{ layer: 'conv1, bn1', op: 'convNorm', output: [N, 32, 32, w] },
    ...{ parameters: 27 * w + 2 * w, flops: 2 * N * 1024 * 27 * w, bytes: 4 * N * 1024 * w },
  })
})

test('nothing is run, compiled, allocated or counted', ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const encoder = resnet8(gpu, { width: 4 })
  gpu.step(() => {})
  const before = gpu.stats()
  const { flops } = summary(encoder, [65536, 64, 64, 3], { training: true }) // 4 GiB a tensor
  assert.is(flops, 65536 * summary(encoder, [1, 64, 64, 3]).flops)
  const { buffers, bytes, ...counts } = gpu.stats()
  assert.equal({ ...before, ...counts }, before)
  assert.ok(buffers - before.buffers <= 1 && bytes - before.bytes <= 256, `${bytes}`) // a placeholder
  assert.is(encoder.norms['bn1']?.batches, 0)
  gpu.destroy()
})

const counting = op({
  name: 'counting',
  shape: (_, x) => x,
  flops: (_, x) => 7 * (x[0] ?? 0),
  forward: (run, _, x) => [run.view(x, x.shape)],
})

test('layers of a model of your own are known by its names', ({ gpu }) => {
  const [w, b, extra] = [
    gpu.variable(new Float32Array(12), [4, 3]),
    gpu.variable([1, 2, 3, 4]),
    gpu.variable([1]),
  ]
  const model: Model = {
    parameters: { 'enc.w': w, 'enc.b': b, extra },
    norms: {},
    features: 3,
    forward: (x) => counting({}, matmul(add(linear(x, w, b), b), transpose(w, [0, 1]))),
  }
  const { rows, unused, parameters, flops } = summary(model, [2, 3])
  assert.equal(
    rows.map((row) => [row.layer, row.op, row.output, row.parameters, row.flops]),
    [
      ['enc', 'linear', [2, 4], 16, 2 * 2 * 3 * 4],
      ['enc', 'add', [2, 4], 0, null],
      ['enc', 'transpose', [4, 3], 0, null],
      [null, 'matmul', [2, 3], 0, 2 * 2 * 4 * 3],
      [null, 'counting', [2, 3], 0, 14],
    ],
  )
  assert.equal([unused, parameters, flops], [['extra'], 17, 48 + 48 + 14])
  assert.match(String(summary(model, [2, 3])), /\nnot used {4}extra$/)
})

test('prints tables of at most 80 columns, and of 60', ({ gpu }) => {
  const head = projectionHead(gpu, { features: 512, hidden: 512, dim: 128 })
  assert.is(
    inspect(summary(head, [1, 512])),
    `layer         output    params  FLOPs    bytes
projection.0  [1, 512]   262 K  524 K  2.05 KB
projection.1  [1, 512]  1.02 K         2.05 KB
projection.3  [1, 128]  65.7 K  131 K    512 B

parameters  328,832 (1.32 MB)
statistics  1,024
FLOPs       655 K: products, 2 a multiply-add
outputs     4.61 KB`,
  )
  const encoder = resnet8(gpu, { width: 4 })
  for (const width of [80, 60]) {
    const lines = summary(encoder, [64, 224, 224, 3]).table(width).split('\n')
    assert.ok(Math.max(...lines.map((line) => line.length)) <= width, lines.join('\n'))
    assert.ok(
      lines.some((line) => line.startsWith('layer2.0.c')),
      lines.join('\n'),
    )
  }
})

test('a model without parameters needs a gpu; other misuse is refused', async ({ gpu }) => {
  const bare: Model = { parameters: {}, norms: {}, features: 1, forward: (x: Tensor) => add(x, x) }
  assert.is(summary(bare, [5], { gpu }).rows[0]?.op, 'add')
  const build = new Builder(gpu, 0)
  const dense = build.linear('fc', [3, 2])
  const model = { parameters: build.parameters, norms: {}, features: 2, forward: dense }
  await refusesAll([
    [
      'no gpu',
      () => summary(bare, [5]),
      'summary: the model has no parameters that tell its Gpu; give it, as in summary(model, shape, { gpu })',
    ],
    [
      'a layer',
      () => call(summary, dense, [1, 3]),
      'summary: model must be a model, with parameters and a forward, got a function',
    ],
    [
      'no shape',
      () => call(summary, model),
      'summary: shape must be the shape of the input, such as [1, 32, 32, 3], got undefined',
    ],
    [
      'another shape',
      () => summary(model, [1, 4]),
      'linear: features differ, x [1, 4] has 4 and w [2, 3] takes 3',
    ],
    [
      'an option of another',
      () => call(summary, model, [1, 3], { train: true }),
      `summary: there is no option 'train'; did you mean 'training'? Its options are dtype, training, gpu`,
    ],
    [
      'within a step',
      () => gpu.step(() => void summary(model, [1, 3])),
      'summary: it cannot run inside a step',
    ],
  ])
  assert.is(summary(model, [1, 3]).flops, 12) // and it works after those
})

test.run()
