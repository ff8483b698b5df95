// Tests the optimizers of the command line: what AdamW's weight decay applies to.

import * as assert from 'uvu/assert'
import { AdamW, Gradients } from '../../index.ts'
import { optimizerOf } from '../../methods/settings/optimizers.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('optimizers by name')

test('adamw decays matrices, not biases, norms, the class token and positions', async ({ gpu }) => {
  const ones = (...shape: number[]) => gpu.variable(new Float32Array(2).fill(1), shape)
  const parameters = {
    'fc.weight': ones(1, 2),
    'fc.bias': ones(2),
    cls_token: ones(1, 1, 2),
    'image.pos_embed': ones(1, 2, 1),
  }
  const settings = { name: 'adamw', weightDecay: 0.5, betas: [0.5, 0.5] } as const
  const optimizer = optimizerOf({ optimizer: settings }, parameters)
  assert.instance(optimizer, AdamW)
  const still = Object.values(parameters).map(
    (w) => [w, gpu.tensor(new Float32Array(2), w.shape)] as const,
  )
  gpu.step(() => optimizer.step(new Gradients(still), 0.5))
  const left = await Promise.all(Object.values(parameters).map((w) => gpu.read(w)))
  assert.equal(
    left.map(([first]) => first),
    [0.75, 1, 1, 1],
  )
})

test.run()
