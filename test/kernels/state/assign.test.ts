import * as assert from 'uvu/assert'
import type { Tensor, Variable } from '../../../kernels/op.ts'
import { add } from '../../../kernels/elementwise/add.ts'
import { assign } from '../../../kernels/state/assign.ts'
import { bankUpdate } from '../../../kernels/state/bank-update.ts'
import { conv2d } from '../../../kernels/conv/conv2d.ts'
import { enqueue } from '../../../kernels/state/enqueue.ts'
import { reshape } from '../../../kernels/shape/reshape.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { close } from '../../fixtures/check.ts'
import { cast } from '../../../kernels/elementwise/cast.ts'
import { mean } from '../../../kernels/reduce/mean.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('assign')

test("DINO's centre follows the batch in steps, captured or not", async ({ gpu }) => {
  const batch = (s: number) => Float32Array.of(s, 2 * s, -s, 0)
  const results: number[][] = []
  for (const isCaptured of [false, true]) {
    const centre = gpu.variable([1, 2], [2])
    const body = (x: Tensor) => assign(centre, add(mul(centre, 0.9), mul(mean(x, 0), 0.1)))
    const captured = gpu.capture((x: Tensor) => body(x))
    for (let s = 0; s < 6; s++)
      if (isCaptured) captured.run({ values: batch(s), shape: [2, 2] })
      else gpu.step(() => body(gpu.tensor(batch(s), [2, 2])))
    if (isCaptured) assert.ok(captured.replays > 2, captured.reason ?? '')
    results.push([...(await gpu.read(centre))])
  }
  assert.equal(results[1], results[0])
  assert.not.equal(results[0], [1, 2])
})

test('takes every element type, bit by bit', async ({ gpu }) => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 250)
  const variables = [new Uint8Array(5), new Int32Array(5), new Float32Array(5)].map((zeros) =>
    gpu.variable(zeros),
  )
  for (const variable of variables) {
    assign(variable, cast(gpu.tensor(bytes), variable.dtype === 'f16' ? 'f32' : variable.dtype))
    assert.equal([...(await gpu.read(variable))], [...bytes])
  }
})

test('a gradient through what was overwritten throws', ({ gpu }) => {
  const w = gpu.variable([1, 2], [2])
  const y = mul(w, w)
  assign(w, gpu.tensor([3, 4], [2]))
  assert.throws(
    () => gpu.backward(y),
    (error: Error) => error.message.includes('mul'),
  )
})

test('takes what lies in its own memory, or beside it', async ({ gpu }) => {
  const v = gpu.variable([1, 2], [2])
  assign(v, v)
  const turn = gpu.capture((a: Variable, b: Variable) => {
    assign(a, reshape(b, [2]))
    assign(a, add(a, 1))
  })
  for (let s = 0; s < 4; s++) turn.run(v, v)
  assert.equal([...(await gpu.read(v))], [5, 6])
  assert.ok(turn.replays > 0, turn.reason ?? '')
  const queue = gpu.variable([1, 2, 3, 4], [2, 2])
  gpu.flatten([v, queue]) // one buffer
  assign(v, reshape(v, [2]))
  enqueue(queue, reshape(v, [1, 2]), 1)
  assert.equal([...(await gpu.read(queue))], [1, 2, 5, 6])
  bankUpdate(queue, queue, gpu.tensor(Int32Array.of(1, 1)), 0)
  close(await gpu.read(queue), [1, 2, 5 / 61 ** 0.5, 6 / 61 ** 0.5], 1e-6, 'bank')
})

test('takes f16 where it keeps f32', async ({ gpu: host }) => {
  const gpu = new Gpu(host.device, { activations: 'f16' })
  const images = gpu.tensor(new Float32Array(64).fill(0.5), [1, 4, 4, 4])
  const halves = conv2d(images, gpu.tensor(new Float32Array(16).fill(0.25), [1, 1, 4, 4]))
  assert.is(halves.dtype, 'f16')
  const v = gpu.variable(new Float32Array(64), [1, 4, 4, 4])
  assign(v, halves)
  assert.equal([...(await gpu.read(v))], Array.from({ length: 64 }).fill(0.5))
  const rows = reshape(halves, [16, 4])
  const queue = gpu.variable(new Float32Array(8), [2, 4])
  enqueue(queue, rows, 0)
  assert.equal([...(await gpu.read(queue))], Array.from({ length: 8 }).fill(0.5))
  const bank = gpu.variable(new Float32Array(4), [1, 4])
  bankUpdate(bank, rows, gpu.tensor(new Int32Array(16)), 0)
  close(await gpu.read(bank), [0.5, 0.5, 0.5, 0.5], 1e-6, 'bank')
  await gpu.sync()
  gpu.destroy()
})

test('what is not alike is refused', ({ gpu }) => {
  refuses(
    () => assign(gpu.variable([1, 2], [2]), gpu.tensor([1, 2], [1, 2])),
    'assign: x must be like the variable, f32 [2], got f32 [1, 2]',
  )
  refuses(
    () => assign(gpu.variable([1, 2], [2]), gpu.tensor(Int32Array.of(1, 2))),
    'assign: x must be like the variable, f32 [2], got i32 [2]',
  )
})

test.run()
