import * as assert from 'uvu/assert'
import type { Tensor } from '../../../kernels/op.ts'
import { add } from '../../../kernels/elementwise/add.ts'
import { assign } from '../../../kernels/state/assign.ts'
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
