import * as assert from 'uvu/assert'
import { cast } from '../../../kernels/elementwise/cast.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('cast')

test('converts between f32, i32 and u8', async ({ gpu }) => {
  const read = async (...of: Parameters<typeof cast>) => [...(await gpu.read(cast(...of)))]
  const bytes = Uint8Array.from({ length: 7 }, (_, i) => 37 * i) // not a multiple of four
  for (const dtype of ['f32', 'i32', 'u8'] as const) {
    const x = cast(gpu.tensor(bytes, [7, 1]), dtype)
    assert.is(x.dtype, dtype)
    assert.equal(x.shape, [7, 1])
    assert.equal([...(await gpu.read(x))], [...bytes])
  }
  const whole = gpu.tensor(Int32Array.of(-5, 0, 255, 256, 2 ** 24 + 1))
  assert.equal(await read(whole, 'f32'), [-5, 0, 255, 256, 2 ** 24])
  assert.equal(await read(whole, 'u8'), [0, 0, 255, 255, 255])
  const x = gpu.tensor([-1.9, 0.5, 254.99, 300, NaN, -Infinity, 3e9, -(2 ** 31), 2 ** 31 - 128])
  assert.equal(await read(x, 'u8'), [0, 0, 254, 255, 0, 0, 255, 0, 255])
  const within = gpu.tensor([-1.9, 254.99, NaN, -Infinity, -3e9, 2 ** 31 - 128])
  assert.equal(await read(within, 'i32'), [-1, 254, 0, -(2 ** 31), -(2 ** 31), 2 ** 31 - 128])
  for (const beyond of [2 ** 31, 3e9, Infinity]) {
    const told = await gpu.read(cast(gpu.tensor([beyond]), 'i32')).catch(String)
    assert.match(String(told), '2147483647') // which no Float32Array holds
  }
  const same = gpu.tensor([1.5])
  assert.is(cast(same, 'f32'), same)
})

test.run()
