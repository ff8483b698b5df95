import * as assert from 'uvu/assert'
import type { Shape, Tensor } from '../../../kernels/op.ts'
import { abs } from '../../../kernels/elementwise/abs.ts'
import { clamp } from '../../../kernels/elementwise/clamp.ts'
import { maximum } from '../../../kernels/elementwise/maximum.ts'
import { minimum } from '../../../kernels/elementwise/minimum.ts'
import { neg } from '../../../kernels/elementwise/neg.ts'
import { square } from '../../../kernels/elementwise/square.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { gradientAt } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('square, abs, neg, clamp, maximum, minimum')

const unary: [string, (x: Tensor) => Tensor, (x: number) => number][] = [
  ['square', square, (x) => x * x],
  ['abs', abs, Math.abs],
  ['neg', neg, (x) => -x],
  ['clamp', (x) => clamp(x, { min: -0.4, max: 1.3 }), (x) => Math.min(Math.max(x, -0.4), 1.3)],
  ['clamp from below', (x) => clamp(x, { min: 0.2 }), (x) => Math.max(x, 0.2)],
  ['clamp from above', (x) => clamp(x, { max: 0.2 }), (x) => Math.min(x, 0.2)],
]

for (const [name, op, f] of unary)
  test(name, async ({ gpu }) => {
    for (const count of [1, 64, 131]) {
      const values = [random(count).map((v) => Math.fround(3 * v))]
      await checkOp(gpu, op, (x) => x.map(f), [[count]], { values })
    }
  })

const pairs: [string, typeof maximum, (a: number, b: number) => number][] = [
  ['maximum', maximum, Math.max],
  ['minimum', minimum, Math.min],
]

for (const [name, op, f] of pairs)
  test(`${name} broadcasts`, async ({ gpu }) => {
    const shapes: [Shape, Shape][] = [
      [[65], [65]],
      [[6, 1], [7]],
      [[], [5]],
    ]
    for (const [sa, sb] of shapes) {
      const columns = sb[0] ?? 1
      const reference = (a: number[], b: number[]) =>
        sa.length === 2
          ? a.flatMap((v) => b.map((w) => f(v, w)))
          : b.map((w, i) => f(a[i % a.length] ?? NaN, w))
      assert.ok(columns > 1)
      await checkOp(gpu, op, reference, [sa, sb])
    }
  })

test('ties: half of the gradient each, all of it at a limit of clamp, none of abs', async ({
  gpu,
}) => {
  const of = (...values: number[]) => gpu.tensor(values, [values.length])
  const dy = of(2, 4, 6)
  for (const [op, ofA, ofB] of [
    [maximum, [1, 0, 6], [1, 4, 0]],
    [minimum, [1, 4, 0], [1, 0, 6]],
  ] as const) {
    const [a, b] = [of(1, 2, 3), of(1, 5, 2)]
    assert.equal([...(await gradientAt(gpu, op(a, b), a, dy))], ofA)
    assert.equal([...(await gradientAt(gpu, op(a, b), b, dy))], ofB)
  }
  const x = of(1, 3, 4)
  assert.equal([...(await gradientAt(gpu, clamp(x, { min: 1, max: 3 }), x, dy))], [2, 4, 0])
  const zeros = of(0, -0, -2)
  assert.equal([...(await gradientAt(gpu, abs(zeros), zeros, dy))], [0, 0, -6])
})

test('NaN stays NaN', async ({ gpu }) => {
  const of = (...values: number[]) => gpu.tensor(values, [values.length])
  const x = of(NaN, -1, 2)
  for (const [name, op] of unary) {
    const [first, ...others] = await gpu.read(op(x))
    assert.ok(Number.isNaN(first) && others.every(Number.isFinite), name)
  }
  for (const op of [maximum, minimum]) {
    const [a, b] = [of(NaN, 1, NaN, 2), of(1, NaN, NaN, 2)]
    assert.equal([...(await gpu.read(op(a, b)))], [NaN, NaN, NaN, 2])
    assert.equal([...(await gradientAt(gpu, op(a, b), a, of(1, 2, 3, 4)))], [1, 2, 3, 2])
    assert.equal([...(await gradientAt(gpu, op(a, b), b, of(1, 2, 3, 4)))], [1, 2, 3, 2])
  }
  assert.equal([...(await gradientAt(gpu, clamp(x, { min: 0 }), x, of(5, 6, 7)))], [0, 0, 7])
  assert.equal([...(await gradientAt(gpu, abs(x), x, of(5, 6, 7)))], [NaN, -6, 7])
})

test('infinities and zeros keep their signs', async ({ gpu }) => {
  const x = gpu.tensor([Infinity, -Infinity, 0, -0], [4])
  assert.equal([...(await gpu.read(neg(x)))], [-Infinity, Infinity, -0, 0])
  assert.equal([...(await gpu.read(abs(x)))], [Infinity, Infinity, 0, 0])
  assert.equal([...(await gpu.read(clamp(x, { min: -Infinity })))].slice(0, 2), [
    Infinity,
    -Infinity,
  ])
  assert.equal([...(await gpu.read(clamp(x, { max: 3 })))].slice(0, 2), [3, -Infinity])
})

test('what does not fit is refused', ({ gpu }) => {
  const x = gpu.tensor([1, 2, 3], [3])
  refuses(
    () => maximum(x, gpu.tensor([1, 2], [2])),
    'maximum: shapes do not broadcast, [3] and [2]',
  )
  refuses(() => clamp(x, { min: 2, max: 1 }), 'clamp: min must be at most max, got min 2 and max 1')
})

test.run()
