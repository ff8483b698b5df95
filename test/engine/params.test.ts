import * as assert from 'uvu/assert'
import { type Scalar, kernel } from '../../kernels/op.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('params')

const three = kernel`
  struct Params { count: u32, shift: i32, scale: f32 }
  @group(0) @binding(0) var<storage, read_write> x: array<f32>;
  @group(0) @binding(1) var<uniform>             p: Params;
  @compute @workgroup_size(1)
  fn three() { x[0] = f32(p.count) * p.scale + f32(p.shift); }
`
type Params = Record<string, Scalar>
const given = (gpu: Gpu, params: Params, groups: readonly [number] = [1]) => {
  const x = gpu.variable([0])
  gpu.run(three, { updates: [x], params: { count: 1, shift: 0, scale: 1, ...params }, groups })
  return gpu.item(x)
}

test('params are what their types hold, given as numbers or as functions', async ({ gpu }) => {
  assert.is(await given(gpu, { count: 2 ** 20, shift: () => -5, scale: 0.5 }), 2 ** 19 - 5)
  assert.is(await given(gpu, { scale: Infinity }), Infinity)
  for (const [params, message] of [
    [{ count: 2.5 }, 'count must be a whole number from 0 to 2^32 - 1, got 2.5'],
    [{ count: -1 }, 'count must be a whole number from 0 to 2^32 - 1, got -1'],
    [{ count: NaN }, 'count must be a whole number from 0 to 2^32 - 1, got NaN'],
    [{ count: () => 2 ** 32 }, 'count must be a whole number from 0 to 2^32 - 1, got 4294967296'],
    [{ shift: 2 ** 31 }, 'shift must be a whole number from -2^31 to 2^31 - 1, got 2147483648'],
    [{ scale: 1e39 }, 'scale must be a number within the range of f32, 3.4e38, got 1e+39'],
    [{ scale: '2' }, "scale must be a number within the range of f32, 3.4e38, got '2'"],
    [{ scale: true }, 'scale must be a number within the range of f32, 3.4e38, got true'],
    [
      { scales: 2 },
      "struct Params [count, shift, scale] has no member 'scales'; did you mean 'scale'?",
    ],
  ] as const)
    refuses(() => given(gpu, params as unknown as Params), `three: ${message}`)
  refuses(
    () => given(gpu, {}, [NaN]),
    'three: groups must be whole numbers from 0, got [NaN, 1, 1]',
  )
})

test('a replay refuses what a function gives later', async ({ gpu }) => {
  const x = gpu.variable([7])
  let count = 1
  const captured = gpu.capture(() => {
    const params = { count: () => count, shift: 0, scale: 1 }
    gpu.run(three, { updates: [x], params, groups: [1] })
  })
  for (let i = 0; i < 4; i++) captured.run()
  assert.ok(captured.replays > 0)
  count = 0.5
  refuses(() => captured.run(), 'three: count must be a whole number from 0 to 2^32 - 1, got 0.5')
  assert.is(await gpu.item(x), 1)
})

test.run()
