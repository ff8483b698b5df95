// Tests the errors of steps, folds and captured steps.

import * as assert from 'uvu/assert'
import type { Tensor } from '../../../kernels/op.ts'
import { add } from '../../../kernels/elementwise/add.ts'
import { DeviceLostError } from '../../../engine/errors.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { openGpu } from '../../../engine/node.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('capture refusals')

test('a body that returns no tensors is told so', ({ gpu }) => {
  const plain = (body: unknown) => body as () => Tensor // as from plain JavaScript
  for (const [body, words] of [
    [
      async () => {},
      'the body must not be async; return the tensors, and await reads of them outside',
    ],
    [() => 7, 'the body must return a tensor, several in an array, or nothing, got a number'],
  ] as const) {
    refuses(() => gpu.step(plain(body)), `Gpu.step: ${words}`)
    refuses(() => gpu.capture(plain(body)).run(), `Gpu.step: ${words}`)
  }
})

test('a fold whose turns hand on one tensor is told so', ({ gpu }) => {
  const x = gpu.tensor([1], [1])
  const bare = x as unknown as readonly Tensor[] // as from plain JavaScript
  refuses(
    () => gpu.fold([1, 2], bare, () => bare),
    'Gpu.fold: what a turn returns must be tensors in an array or a map',
  )
})

test('a destroyed Gpu and a lost device throw, replaying or not', async () => {
  for (const end of [(gpu: Gpu) => gpu.destroy(), (gpu: Gpu) => gpu.device.destroy()]) {
    const gpu = await openGpu()
    const captured = gpu.capture((x: Tensor) => add(x, 1))
    for (let i = 0; i < 4; i++) captured.run({ values: [1], shape: [1] })
    end(gpu)
    await gpu.device.lost
    try {
      captured.run({ values: [1], shape: [1] })
      assert.unreachable('the device is gone')
    } catch (error) {
      assert.instance(error, DeviceLostError)
    }
  }
})

test('one tensor given twice is refused: replays would tell the two apart', ({ gpu }) => {
  const x = gpu.tensor([1, 2], [2])
  const captured = gpu.capture((a: Tensor, b: Tensor) => add(a, b))
  refuses(
    () => captured.run(x, x),
    'captured step: inputs 0 and 1 are the same tensor; give it once and use it twice in the body',
  )
})

test.run()
