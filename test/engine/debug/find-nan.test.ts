// Tests which op findNaN names, forward, backward and in an update.

import * as assert from 'uvu/assert'
import { inspect } from 'node:util'
import { conv2d } from '../../../kernels/conv/conv2d.ts'
import { div } from '../../../kernels/elementwise/div.ts'
import { log } from '../../../kernels/elementwise/log.ts'
import { relu } from '../../../kernels/elementwise/relu.ts'
import { sqrt } from '../../../kernels/elementwise/sqrt.ts'
import { linear } from '../../../kernels/matmul/linear.ts'
import type { Tensor } from '../../../kernels/op.ts'
import { mean } from '../../../kernels/reduce/mean.ts'
import { sum } from '../../../kernels/reduce/sum.ts'
import { findNaN } from '../../../engine/debug/find-nan.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { Gradients } from '../../../engine/optim/gradients.ts'
import { Adam, Sgd } from '../../../engine/optim/optimizer.ts'
import { Builder } from '../../../models/builder.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('findNaN')

/** A network of two layers, whose names the Builder gives. */
function network(gpu: Gpu) {
  const build = new Builder(gpu, 1)
  const [first, second] = [build.linear('trunk.0', [3, 4]), build.linear('trunk.2', [4, 2])]
  const mode = { training: true }
  const forward = (x: Tensor) => second(relu(first(x, mode)), mode)
  return { forward, parameters: build.parameters }
}

const input = (gpu: Gpu) => gpu.tensor([1, 2, 3, 4, 5, 6], [2, 3])

test('names the op of the forward pass, and the layer before it', async ({ gpu }) => {
  const { forward } = network(gpu)
  const body = () => {
    const y = forward(input(gpu))
    gpu.backward(sum(log(relu(div(y, gpu.tensor([0]))))))
  }
  const found = await findNaN(gpu, body)
  assert.equal(
    { ...found },
    {
      ...{ op: 'div', pass: 'forward', role: 'output', name: null, parameters: [], layer: null },
      ...{ after: 'trunk.2', tensor: { shape: [2, 2], dtype: 'f32' } },
      inputs: [
        { shape: [2, 2], dtype: 'f32' },
        { shape: [1], dtype: 'f32' },
      ],
      ...{ nan: 0, infinite: 4, first: [0, 0] },
    },
  )
  assert.is(
    inspect(found),
    `div (forward) made 4 infinite
  after layer trunk.2
  output f32 [2, 2], the first at [0, 0]
  inputs f32 [2, 2], f32 [1]`,
  )
  const alone = await findNaN(gpu, body, { infinities: false })
  assert.equal([alone?.op, alone?.pass], ['div', 'backward']) // infinity times 0
})

test('names the op of the backward pass, and the parameter whose gradient it is', async ({
  gpu,
}) => {
  const w = gpu.variable([0, 4, 0, 9], [2, 2])
  const optimizer = new Adam({ 'image.scale': w })
  const step = () => {
    const loss = mean(sqrt(w)) // its derivative at 0 is infinite
    optimizer.step(gpu.backward(loss), () => 0.1)
  }
  assert.is(
    String(await findNaN(gpu, () => gpu.step(step))),
    `sqrt (backward) made 2 infinite
  layer image
  gradient of image.scale f32 [2, 2], the first at [0, 0]
  gradients of its outputs f32 [2, 2]`,
  )
  assert.equal([[...(await gpu.read(w))], optimizer.t], [[0, 4, 0, 9], 0])
})

test('tells a parameter and a batch that held one before', async ({ gpu }) => {
  const { forward, parameters } = network(gpu)
  const x = input(gpu)
  const bad = gpu.tensor([1, 2, 3, 4, NaN, -Infinity], [2, 3])
  assert.is(
    String(await findNaN(gpu, () => forward(bad))),
    `linear (forward) was given 1 NaN and 1 infinite
  layer trunk.0
  input f32 [2, 3], the first at [1, 1]
  inputs f32 [2, 3], f32 [4, 3], f32 [4]`,
  )
  const bias = parameters['trunk.2.bias']
  if (bias) gpu.write(bias, [1, NaN])
  const found = await findNaN(gpu, () => forward(x))
  assert.equal([found?.name, found?.layer, found?.role], ['trunk.2.bias', 'trunk.2', 'input'])
})

test('names the kernel of an update, and the names that it is given', async ({ gpu }) => {
  const w = gpu.variable([1, 2], [2])
  const optimizer = new Sgd({ w })
  const step = () => optimizer.step(new Gradients([[w, gpu.tensor([1, 1])]]), () => 3e38)
  gpu.step(step) // still finite
  const found = await findNaN(gpu, () => gpu.step(step))
  assert.equal([found?.op, found?.pass, found?.name], ['sgd', 'update', 'all parameters'])
  gpu.write(w, [1, 2])
  assert.is(
    await findNaN(gpu, () => gpu.step(() => optimizer.step(gpu.backward(sum(w)), () => 0.1))),
    null,
  )
  const own = gpu.variable([1, NaN, 3, 4], [2, 2])
  const parameters = { 'mine.w': own }
  const named = await findNaN(gpu, () => linear(gpu.tensor([[1, 2]]), own), { parameters })
  assert.equal([named?.name, named?.layer], ['mine.w', 'mine'])
})

test('an image that overflows f16 is found where it is stored', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device, { activations: 'f16' })
  const w = gpu.variable(new Float32Array(4 * 4).fill(100), [1, 1, 4, 4])
  const x = gpu.tensor(new Float32Array(4 * 4).fill(1000), [1, 2, 2, 4])
  const found = await findNaN(gpu, () => conv2d(x, w), { parameters: { 'conv1.weight': w } })
  assert.equal([found?.op, found?.layer, found?.infinite], ['conv2d', 'conv1', 16])
  assert.equal(found?.tensor, { shape: [1, 2, 2, 4], dtype: 'f16' })
  gpu.destroy()
})

test('more tensors than one variable counts, in a captured step', async ({ gpu }) => {
  const w = gpu.variable([1], [1])
  const captured = gpu.capture((x: Tensor) => {
    let y = x
    for (let i = 0; i < 1100; i++) y = relu(y)
    return log(linear(y, gpu.run.view(w, [1, 1])))
  })
  const step = () => captured.run({ values: Float32Array.of(0), shape: [1, 1] })
  for (let i = 0; i < 4; i++) await gpu.read(step())
  const found = await findNaN(gpu, step)
  assert.equal([found?.op, found?.infinite, captured.replays], ['log', 1, 2])
})

test('an empty body and one with integers alone have none', async ({ gpu }) => {
  assert.is(await findNaN(gpu, () => {}), null)
  const empty = gpu.tensor([], [0, 3])
  assert.is(await findNaN(gpu, () => relu(empty)), null)
})

test.run()
