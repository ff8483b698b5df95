// Tests division outside the range in which WGSL divides precisely.

import * as assert from 'uvu/assert'
import { div } from '../../../kernels/elementwise/div.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('div')

/** Numbers with the sign of their zeros: '0' and '-0' differ. */
const signed = (values: Float32Array) =>
  Array.from(values, (v) => (Object.is(v, -0) ? '-0' : String(v)))

test('a number beyond the range of f32 divides as infinity does, as in torch', async ({ gpu }) => {
  const x = gpu.tensor([1, -1, 3e38, 0, -0, Infinity, NaN])
  const zeros = ['0', '-0', '0', '0', '-0', 'NaN', 'NaN']
  const negated = ['-0', '0', '-0', '-0', '0', 'NaN', 'NaN']
  for (const b of [3.5e38, 1e39, 1e45, 1e308, Infinity]) {
    assert.equal(signed(await gpu.read(div(x, b))), zeros, `${b}`)
    assert.equal(signed(await gpu.read(div(x, -b))), negated, `${-b}`)
  }
  assert.equal(signed(await gpu.read(div(gpu.tensor([6, -6, -0]), 2))), ['3', '-3', '-0'])
})

test('its gradient is 0', async ({ gpu }) => {
  const x = gpu.tensor([1, -2, 3])
  const gradient = gpu.backward(div(x, 1e39)).of(x) ?? x
  assert.equal([...(await gpu.read(gradient))].map(Math.abs), [0, 0, 0])
})

test('a number beyond the range of f32 over a tensor is refused', ({ gpu }) =>
  refuses(
    () => div(1e39, gpu.tensor([1])),
    'div: a must be a number within the range of f32, 3.4e38, got 1e+39',
  ))

test('the gradient of a divisor survives where dy / b overflows or underflows', async ({ gpu }) => {
  // [dy, a, b, y, -dy y / b]
  const rows = [
    [1e-25, 1e30, 1e15, 1e15, -1e-25],
    [1e-20, 1e38, 1e19, 1e19, -1e-20],
    [1e-30, 3e38, 1e10, 3e28, -3e-12],
    [1e25, 1e-32, 1e-16, 1e-16, -1e25],
    [0, 1e30, 1e-5, 1e35, 0],
  ] as const
  const of = (column: 0 | 1 | 2) => gpu.tensor(rows.map((row) => row[column]))
  const [dy, a, b] = [of(0), of(1), of(2)]
  const db = [...(await gpu.read(gpu.backward(div(a, b), dy).of(b) ?? b))]
  for (const [i, [, , , , expected]] of rows.entries())
    assert.ok(Math.abs((db[i] ?? NaN) - expected) <= 1e-6 * Math.abs(expected), `${i}: ${db[i]}`)
})

test('the gradient of a divisor survives under a number too', async ({ gpu }) => {
  const x = gpu.tensor([1e19])
  const [dx = NaN] = await gpu.read(gpu.backward(div(1e38, x), gpu.tensor([1e-25])).of(x) ?? x)
  assert.ok(Math.abs(dx + 1e-25) < 1e-31, String(dx))
})

test.run()
