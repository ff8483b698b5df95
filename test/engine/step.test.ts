// Counts the dispatches, buffers and bytes of a whole training step: ResNet-18 of width 16 on 16
// images of 32 x 32, SGD (bench/step.js times it).

import * as assert from 'uvu/assert'
import { crossEntropy } from '../../kernels/loss/cross-entropy.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { Builder } from '../../models/builder.ts'
import { resnet18 } from '../../models/resnet.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('a training step')

test('is one submit of at most 250 dispatches, in 53 MB, and makes no buffer and no bind group', async ({
  gpu,
}) => {
  const encoder = resnet18(gpu, { width: 16 })
  const build = new Builder(gpu, 0)
  const classify = build.linear('fc', [encoder.features, 10])
  const optimizer = new Sgd({ ...encoder.parameters, ...build.parameters })
  const x = gpu.variable(random(16 * 32 * 32 * 3), [16, 32, 32, 3])
  const y = gpu.tensor(
    Int32Array.from({ length: 16 }, (_, i) => i % 10),
    [16],
  )
  const mode = { training: true }
  const step = () =>
    gpu.step(() => {
      const loss = crossEntropy(classify(encoder.forward(x, mode), mode), y)
      optimizer.step(gpu.backward(loss), 0.05)
      return loss
    })
  const first = (await gpu.read(step()))[0] ?? NaN
  step()
  const before = gpu.stats()
  const last = (await gpu.read(step()))[0] ?? NaN
  const after = gpu.stats()
  assert.ok(last < first, `the loss went from ${first} to ${last}`)
  assert.is(after.submits - before.submits, 2) // the step's, and the reading's
  const dispatches = after.dispatches - before.dispatches
  assert.ok(dispatches <= 250, `${dispatches} dispatches`)
  assert.is(after.bytes, before.bytes)
  assert.is(after.bindGroups, before.bindGroups)
  assert.ok(after.bytes <= 53e6, `${after.bytes} bytes`)
})

test.run()
