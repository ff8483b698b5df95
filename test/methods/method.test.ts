// The frame of all methods, around a toy: what it calls when, and what a step returns.

import * as assert from 'uvu/assert'
import type { Tensor, Variable } from '../../kernels/op.ts'
import { mul } from '../../kernels/elementwise/mul.ts'
import { indexSelect } from '../../kernels/shape/gather.ts'
import { reshape } from '../../kernels/shape/reshape.ts'
import { sum } from '../../kernels/reduce/sum.ts'
import { needed, variable } from '../../kernels/options.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import type { StepBatch } from '../../methods/batch.ts'
import { type Algorithm, type MethodOptions, method } from '../../methods/method.ts'
import { optimizerRule } from '../../methods/step-options.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('method')

interface ToyOptions extends MethodOptions {
  readonly w: Variable
}

const calls: string[] = []

/** Multiplies the pixels by w. The loss is the sum of their squares; a step returns it times the
 *  sum of its numbers. */
const toy: Algorithm<ToyOptions, { readonly w: Variable }, [numbers?: readonly number[]]> = method(
  'toy',
  {
    rules: { w: needed(variable), optimizer: needed(optimizerRule) },
    trains: ({ w }) => ({ w }),
    begin({ w }, { gpu, t, seed }) {
      const values = gpu.variable([0, 1, 2, 3, 4, 5], [6])
      const forward = (name: string) => (x: StepBatch, n?: Tensor) => {
        const z = x.encode((images) => mul(reshape(images, [-1]), w), 0)
        calls.push(
          `${name} ${t()} of seed ${seed}, ${n ? `numbers ${n.shape.join()}` : 'no numbers'}`,
        )
        const loss = sum(mul(z, z))
        const after = () => calls.push(`after ${t()}`)
        return { loss, after, result: () => (n ? mul(loss, sum(indexSelect(values, 0, n))) : loss) }
      }
      return {
        keeps: { w },
        told: (_, numbers) => (numbers ? Int32Array.from(numbers) : null),
        first: forward('first'),
        step: forward('step'),
      }
    },
  },
)

const start = (gpu: Gpu, options: Partial<ToyOptions> = {}) => {
  const w = gpu.variable([2], [1])
  const views = (x: Tensor) => x
  calls.length = 0
  return toy(gpu, {
    w,
    views,
    optimizer: new Sgd({ w }),
    schedule: (t) => 0.5 / (1 + t),
    ...options,
  })
}

test('a step goes forward, updates, does what follows, and counts', async ({ gpu }) => {
  const { step, state, w, captured, ...others } = start(gpu, { seed: 7 })
  assert.equal(Object.keys(others), ['warm', 'optimizer'])
  const x = gpu.tensor([1], [1, 1, 1, 1])
  assert.is(await gpu.item(step(x)), 4) // w² = 4, dw = 4, w = 2 - 0.5 · 4
  assert.is(await gpu.item(w), 0)
  assert.equal(calls, ['first 0 of seed 7, no numbers', 'after 0'])
  assert.is(state.step, 1)
  assert.is(captured.replays, 0)
  gpu.write(w, [2])
  assert.is(await gpu.item(step(x, [3, 4])), 28) // the numbers' sum times w²
  assert.is(await gpu.item(w), 1) // by the rate of step 1, 0.25
  assert.is(calls[2], 'step 1 of seed 7, numbers 2')
})

test('the first step is a step of its own, and all others are replayed', async ({ gpu }) => {
  const { step, state, captured } = start(gpu)
  for (let s = 0; s < 6; s++) await gpu.item(step(gpu.tensor([1], [1, 1, 1, 1])))
  assert.is(captured.replays, 3, `${captured.reason}`)
  assert.is(state.step, 6)
  assert.equal(
    calls.filter((one) => one.startsWith('first')),
    ['first 0 of seed 0, no numbers'],
  )
  const alone = start(gpu, { capture: false })
  for (let s = 0; s < 4; s++) alone.step(gpu.tensor([1], [1, 1, 1, 1]))
  assert.is(alone.captured.replays, 0)
})

test('numbers of a replayed step are those of this step', async ({ gpu }) => {
  const { step, captured } = start(gpu, { schedule: 0 })
  const x = gpu.tensor([1], [1, 1, 1, 1])
  const told: number[] = []
  for (let s = 0; s < 6; s++) told.push(await gpu.item(step(x, [s])))
  assert.equal(told, [0, 4, 8, 12, 16, 20])
  assert.ok(captured.replays > 0, `${captured.reason}`)
  assert.is(await gpu.item(step(x)), 4)
})

test('what is wrong is told in the name of the method', ({ gpu }) => {
  refuses(
    () => start(gpu, { optimizer: new Sgd({ v: gpu.variable([1], [1]) }) }),
    'toy: the optimizer lacks 1 of 1 parameters, w; make it of parametersOf({ encoder, head }), or name what is not to be trained, as in frozen: [encoder]',
  )
  refuses(
    () => start(gpu, { chunk: 0 }),
    'toy: chunk must be a whole number of images from 1 on, got 0',
  )
})

test.run()
