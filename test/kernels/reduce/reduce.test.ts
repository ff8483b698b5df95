import * as assert from 'uvu/assert'
import { type Shape, sizeOf } from '../../../kernels/op.ts'
import { logSumExp } from '../../../kernels/reduce/logsumexp.ts'
import { argmax, max } from '../../../kernels/reduce/max.ts'
import { mean } from '../../../kernels/reduce/mean.ts'
import { sum } from '../../../kernels/reduce/sum.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { gradientAt, matchesGolden } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('reduce')

/** The elements of x grouped by what remains of their position without `axes`, each group in
 *  row-major order. */
function groups(x: number[], shape: Shape, axes: readonly number[]): number[][] {
  const found = new Map<string, number[]>()
  for (const [i, v] of x.entries()) {
    const position = shape.map((size, axis) => Math.floor(i / sizeOf(shape.slice(axis + 1))) % size)
    const key = position.filter((_, axis) => !axes.includes(axis)).join()
    const group = found.get(key)
    if (group) group.push(v)
    else found.set(key, [v])
  }
  return [...found.values()] // row-major order of what remains, as its first elements came in that order
}

const total = (v: number[]) => v.reduce((a, b) => a + b, 0)
const cases: [Shape, number[]][] = [
  [[5], [0]],
  [[127, 3], [0]],
  [[128, 3], [0]],
  [[129, 3], [0]],
  [[2, 700], [1]],
  [
    [3, 4, 5, 6],
    [0, 2],
  ],
  [
    [3, 4, 5, 6],
    [1, 3],
  ],
  [
    [3, 4, 5, 6],
    [0, 1, 2],
  ],
  [
    [3, 1, 5],
    [0, 1, 2],
  ],
  [[4, 1, 3], [1]],
]

test('sum and mean over any axes', async ({ gpu }) => {
  for (const [shape, axes] of cases) {
    await checkOp(
      gpu,
      (x) => sum(x, axes),
      (x) => groups(x, shape, axes).map(total),
      [shape],
    )
    const average = (v: number[]) => total(v) / v.length
    await checkOp(
      gpu,
      (x) => mean(x, axes, { keepDims: true }),
      (x) => groups(x, shape, axes).map(average),
      [shape],
    )
  }
})

test('shapes with and without keepDims, negative axes, all axes', ({ gpu }) => {
  const x = gpu.tensor(random(24), [2, 3, 4])
  assert.equal(sum(x).shape, [])
  assert.equal(sum(x, -1).shape, [2, 3])
  assert.equal(sum(x, [0, -1], { keepDims: true }).shape, [1, 3, 1])
  assert.equal(mean(x, undefined, { keepDims: true }).shape, [1, 1, 1])
  assert.equal(max(x, [0, 2]).shape, [3])
  assert.equal(max(x, [2], { keepDims: true }).shape, [2, 3, 1])
  assert.equal(argmax(x, 1, { keepDims: true }).shape, [2, 1, 4])
  assert.is(argmax(x, 1).dtype, 'i32')
})

test('a sum of a million is as good as a pairwise one', async ({ gpu }) => {
  const values = Float32Array.from({ length: 1 << 20 }, (_, i) => 1 + (i % 7) * 0.1)
  const exact = values.reduce((a, b) => a + b, 0)
  const [got = NaN] = await gpu.read(sum(gpu.tensor(values, [1 << 20])))
  assert.ok(Math.abs(got - exact) < 1e-6 * exact, `got ${got}, not ${exact}`)
})

test('a sum of many columns and many rows is bit-identical each time', async ({ gpu }) => {
  const x = gpu.tensor(random(20000), [4000, 5])
  const [first, second] = [await gpu.read(sum(x, 0)), await gpu.read(sum(x, 0))]
  assert.equal(first, second)
})

test('max over any axes sends the gradient to one element', async ({ gpu }) => {
  for (const [shape, axes] of [...cases, [[1, 20000], [1]] as [Shape, number[]]])
    await checkOp(
      gpu,
      (x) => max(x, axes),
      (x) => groups(x, shape, axes).map((v) => v.reduce((a, b) => Math.max(a, b))),
      [shape],
    )
})

test('of equal maxima the first counts, however the line is split', async ({ gpu }) => {
  for (const count of [3, 128, 300, 20000]) {
    const values = new Float32Array(count).fill(-2)
    const first = Math.floor(count / 3)
    values.fill(-1, first)
    const x = gpu.tensor(values, [count])
    const expected = new Float32Array(count)
    expected[first] = 1
    assert.equal([...(await gpu.read(argmax(x, 0)))], [first])
    assert.equal(await gradientAt(gpu, max(x), x), expected)
  }
})

test('a NaN is the maximum, and the first one counts, however the line is split', async ({
  gpu,
}) => {
  assert.equal([...(await gpu.read(max(gpu.tensor([1, NaN, 3], [3]))))], [NaN])
  for (const count of [3, 128, 300, 20000]) {
    const values = Float32Array.from({ length: count }, (_, i) => i)
    const first = Math.floor(count / 3)
    values[first] = values[count - 1] = NaN
    const x = gpu.tensor(values, [count])
    const expected = new Float32Array(count)
    expected[first] = 1
    assert.equal([...(await gpu.read(max(x)))], [NaN])
    assert.equal([...(await gpu.read(argmax(x, 0)))], [first])
    assert.equal(await gradientAt(gpu, max(x), x), expected)
  }
})

test('logSumExp', async ({ gpu }) => {
  const reference = (v: number[]) => Math.log(total(v.map(Math.exp)))
  for (const [shape, axis] of [
    [[5, 7], -1],
    [[3, 65, 2], 1],
    [[64, 3], 0],
    [[2, 200], 1],
  ] as [Shape, number][])
    await checkOp(
      gpu,
      (x) => logSumExp(x, axis),
      (x) => groups(x, shape, [axis < 0 ? axis + shape.length : axis]).map(reference),
      [shape],
    )
  const masked = gpu.tensor([-Infinity, 3, 3, -Infinity, 1000, -1000], [2, 3])
  close(await gpu.read(logSumExp(masked, 1)), [3 + Math.log(2), 1000], 1e-6, 'masked')
})

test('axes that do not exist are refused', ({ gpu }) => {
  const x = gpu.tensor(random(6), [2, 3])
  const says = (message: string) => (e: Error) => e.message === message
  assert.throws(() => sum(x, 2), says('sum: no axis 2 in [2, 3]'))
  assert.throws(() => mean(x, -3), says('mean: no axis -3 in [2, 3]'))
  assert.throws(() => max(x, [1, -1]), says('max: an axis of [2, 3] is named twice, got [1, -1]'))
  assert.throws(() => argmax(x, 0.5), says('argmax: no axis 0.5 in [2, 3]'))
  assert.throws(
    () => max(gpu.tensor([], [2, 0]), 1),
    says('max: axis 1 of [2, 0] has nothing to choose from'),
  )
  assert.throws(
    () => max(gpu.tensor(Uint8Array.of(1, 2), [1, 2])),
    says('max: x must be f32, got u8 [1, 2]'),
  )
  assert.throws(
    () => sum(gpu.tensor(random(32), [2, 2, 2, 2, 2]), [1, 3]),
    says(
      'sum: axes [1, 3] of [2, 2, 2, 2, 2] alternate between 5 groups of axes, at most 4 are supported',
    ),
  )
})

test('golden: sums and means', async ({ gpu }) => {
  for (const name of [
    'sum_dim0',
    'sum_dim_023',
    'sum_last_700',
    'sum_dim1_b',
    'mean_dim_23',
    'mean_all',
    'mean_dim_1_b',
  ]) {
    const reduce = name.startsWith('sum') ? sum : mean
    const golden = await matchesGolden(gpu, name, ([x], { config }) =>
      reduce(x, config['dim'] as number[] /* in every such case */, {
        keepDims: config['keepdim'] === true,
      }),
    )
    golden.done()
  }
})

test('golden: maxima', async ({ gpu }) => {
  for (const name of ['max_dim1', 'max_last_keep', 'max_neg_b']) {
    const golden = await matchesGolden(gpu, name, ([x], { config }) =>
      max(x, Number(config['dim']), { keepDims: config['keepdim'] === true }),
    )
    const x = golden.tensor(gpu, 'in.x')
    await golden.match(gpu, 'out.index', argmax(x, Number(golden.config['dim'])))
    golden.done()
  }
})

test('golden: logsumexp', async ({ gpu }) => {
  for (const name of ['logsumexp', 'logsumexp_b'])
    (
      await matchesGolden(gpu, name, ([x], { config }) => logSumExp(x, Number(config['dim'])))
    ).done()
})

test.run()
