import * as assert from 'uvu/assert'
import { where } from '../../../kernels/elementwise/where.ts'
import { checkOp } from '../../fixtures/check.ts'
import { gradientAt } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('where')

const mask = (count: number) => Int32Array.from({ length: count }, (_, i) => (i * 7) % 3) // 0 to 2
const isTrue = (count: number) => Array.from(mask(count), (v) => v !== 0)

test('takes a where the condition holds, b elsewhere', async ({ gpu }) => {
  for (const count of [1, 64, 131])
    for (const condition of [mask(count), Float32Array.from(mask(count), (v) => v / 4)]) {
      const holds = isTrue(count)
      const given = gpu.tensor(condition, [count])
      const at = (a: number[], b: number[]) => holds.map((yes, i) => (yes ? a[i] : b[i]) ?? NaN)
      await checkOp(gpu, (a, b) => where(given, a, b), at, [[count], [count]])
      await checkOp(
        gpu,
        (a) => where(given, a, -2),
        (a) =>
          at(
            a,
            a.map(() => -2),
          ),
        [[count]],
      )
      await checkOp(
        gpu,
        (b) => where(given, 3, b),
        (b) =>
          at(
            b.map(() => 3),
            b,
          ),
        [[count]],
      )
    }
})

test('the three broadcast', async ({ gpu }) => {
  const holds = isTrue(6)
  const given = gpu.tensor(mask(6), [2, 3, 1])
  const reference = (a: number[], b: number[]) =>
    Array.from({ length: 2 * 3 * 65 }, (_, i) => {
      const [row, c] = [Math.floor(i / 65), i % 65]
      return (holds[row] ? a[c] : b[row % 3]) ?? NaN
    })
  await checkOp(gpu, (a, b) => where(given, a, b), reference, [[65], [3, 1]])
  const column = gpu.tensor(mask(3), [3, 1])
  const repeated = (a: number[]) =>
    Array.from({ length: 12 }, (_, i) => (isTrue(3)[Math.floor(i / 4)] ? a[i % 4] : 1) ?? NaN)
  await checkOp(gpu, (a) => where(column, a, 1), repeated, [[4]])
})

test('what is not taken passes nothing on, not even NaN; a condition of NaN holds', async ({
  gpu,
}) => {
  const of = (...values: number[]) => gpu.tensor(values, [values.length])
  const [condition, a, b] = [of(0, 1, NaN, -0, 1e-45), of(NaN, 1, 2, 3, 4), of(5, NaN, NaN, 6, 7)]
  const y = where(condition, a, b)
  assert.equal([...(await gpu.read(y))], [5, 1, 2, 6, 4])
  const dy = of(1, 2, 3, 4, 5)
  assert.equal([...(await gradientAt(gpu, y, a, dy))], [0, 2, 3, 0, 5])
  assert.equal([...(await gradientAt(gpu, where(condition, a, b), b, dy))], [1, 0, 0, 4, 0])
  assert.equal([...(await gpu.read(where(condition, 1, 0)))], [0, 1, 1, 0, 1])
  assert.equal([...(await gpu.read(where(of(1, 0), of(NaN, 1), 2)))], [NaN, 2])
})

test('a captured step with numbers replays', async ({ gpu }) => {
  const step = gpu.capture((x: Parameters<typeof where>[0]) => where(x, x, -Infinity))
  for (let i = 0; i < 4; i++) {
    const y = step.run({ values: [0, i, 2], shape: [3] })
    assert.equal([...(await gpu.read(y))], [-Infinity, i === 0 ? -Infinity : i, 2])
  }
  assert.is(step.reason, null)
})

test('what does not fit is refused', ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3], [3])
  refuses(() => where(gpu.tensor([1, 2], [2]), x, 0), 'where: shapes do not broadcast, [2] and [3]')
  refuses(
    () => where(gpu.tensor(Uint8Array.of(0, 1, 1, 0), [4]), 1, 0),
    'where: condition must be f32 or i32, got u8 [4]',
  )
})

test.run()
