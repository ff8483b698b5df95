// Images as f16.

import * as assert from 'uvu/assert'
import { storedAs } from '../../../kernels/wgsl/storage.ts'
import { random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('storage')

test('f16 holds 11 bits', async ({ gpu }) => {
  for (const count of [4, 252, 256, 260, 1028]) {
    const x = random(count, count).map((v, i) => Math.fround(v * 10 ** ((i % 7) - 3)))
    const halves = storedAs(gpu.run, 'f16', gpu.tensor(x, [count]))
    for (const got of [await gpu.read(halves), await gpu.read(storedAs(gpu.run, 'f32', halves))])
      for (const [i, v] of x.entries()) {
        const error = Math.abs((got[i] ?? NaN) - v)
        assert.ok(error <= 2 ** -11 * Math.abs(v) + 2 ** -25, `${v} became ${got[i]}`)
      }
  }
})

test('what is stored already is left as it is', ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3, 4], [4])
  assert.is(storedAs(gpu.run, 'f32', x), x)
  const halves = storedAs(gpu.run, 'f16', x)
  assert.is(storedAs(gpu.run, 'f16', halves), halves)
})

test('numbers too large for f16 become infinite, so that a loss scaler sees them', async ({
  gpu,
}) => {
  const x = [65504, 65519, -65519, -65504, 65520, -65520, 1e30, -Infinity]
  const got = await gpu.read(storedAs(gpu.run, 'f16', gpu.tensor(x, [2, 4])))
  assert.equal([...got].slice(0, 4), [65504, 65504, -65504, -65504])
  for (const v of [...got].slice(4)) assert.not.ok(Number.isFinite(v), String(v))
})

test('NaN stays NaN in f16, whatever its bits', async ({ gpu }) => {
  for (const bits of [0x7fc00000, 0x7fffffff, 0xffffffff, 0x7f800001]) {
    const x = new Float32Array([1, NaN, 2, 3])
    new Uint32Array(x.buffer)[1] = bits
    const halves = storedAs(gpu.run, 'f16', gpu.tensor(x, [4]))
    for (const got of [await gpu.read(halves), await gpu.read(storedAs(gpu.run, 'f32', halves))])
      assert.equal(Array.from(got, String), ['1', 'NaN', '2', '3'])
  }
})

test.run()
