import * as assert from 'uvu/assert'
import type { Tensor } from '../../../kernels/op.ts'
import { matmul } from '../../../kernels/matmul/matmul.ts'
import { linear } from '../../../kernels/matmul/linear.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { Golden, goldenNames } from '../../fixtures/golden.ts'
import { linearGolden, matmulGolden } from '../../fixtures/golden-products.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('matmul and linear')

/** op(a) op(b) for `batches` pairs of matrices. */
function reference(
  [batches, M, K, N]: readonly [number, number, number, number],
  transA: boolean,
  transB: boolean,
) {
  return (a: number[], b: number[]) => {
    const y: number[] = []
    for (let batch = 0; batch < batches; batch++)
      for (let m = 0; m < M; m++)
        for (let n = 0; n < N; n++) {
          let sum = 0
          for (let k = 0; k < K; k++) {
            const left = a[batch * M * K + (transA ? k * M + m : m * K + k)] ?? NaN
            const right = b[batch * K * N + (transB ? n * K + k : k * N + n)] ?? NaN
            sum += left * right
          }
          y.push(sum)
        }
    return y
  }
}

const sizes = [
  [1, 1, 1],
  [3, 5, 2],
  [4, 1, 8],
  [33, 7, 9],
  [256, 3, 8],
  [5, 2, 257],
  [33, 8, 20], // fours along the sum and along columns, beyond a tile of rows and one of columns
  [36, 6, 20], // a sum that ends within a four
  [7, 12, 36],
  [40, 4, 9], // columns that do not lie in fours
] as const

for (const transA of [false, true])
  for (const transB of [false, true])
    test(`multiplies matrices of any size, transA ${transA}, transB ${transB}`, async ({ gpu }) => {
      for (const [M, K, N] of sizes)
        await checkOp(
          gpu,
          (a, b) => matmul(a, b, { transA, transB }),
          reference([1, M, K, N], transA, transB),
          [transA ? [K, M] : [M, K], transB ? [N, K] : [K, N]],
        )
    })

test('adds nothing beyond the end of a sum', async ({ gpu }) => {
  const [M, K, N] = [4, 6, 8]
  const a = random(K * M).map((v, i) => (i >= (K - 1) * M ? 1 : v)) // [K, M], the last row 1
  const b = random(K * N, 2).map((v, i) => (i >= (K - 1) * N ? Infinity : v))
  const y = matmul(gpu.tensor(a, [K, M]), gpu.tensor(b, [K, N]), { transA: true })
  assert.ok((await gpu.read(y)).every((v) => v === Infinity))
})

test('multiplies a batch of matrices', async ({ gpu }) => {
  await checkOp(gpu, (a, b) => matmul(a, b), reference([3, 5, 4, 9], false, false), [
    [3, 5, 4],
    [3, 4, 9],
  ])
  const inFours = [3, 36, 8, 12] as const
  await checkOp(gpu, (a, b) => matmul(a, b), reference(inFours, false, false), [
    [3, 36, 8],
    [3, 8, 12],
  ])
  const trans = { transA: true, transB: true }
  await checkOp(gpu, (a, b) => matmul(a, b, trans), reference([2, 34, 3, 6], true, true), [
    [2, 3, 34],
    [2, 6, 3],
  ])
})

test('multiplies batches of any axes, of which a factor may be one matrix for all', async ({
  gpu,
}) => {
  const [M, K, N] = [3, 5, 4]
  for (const transA of [false, true])
    for (const transB of [false, true]) {
      const [a, b] = [transA ? [K, M] : [M, K], transB ? [N, K] : [K, N]]
      const exact = reference([6, M, K, N], transA, transB)
      const six = (x: number[]) => Array.from({ length: 6 }, () => x).flat()
      const op = (left: Tensor, right: Tensor) => matmul(left, right, { transA, transB })
      await checkOp(gpu, op, exact, [
        [2, 3, ...a],
        [2, 3, ...b],
      ])
      await checkOp(gpu, op, (x, y) => exact(x, six(y)), [[2, 3, ...a], b])
      await checkOp(gpu, op, (x, y) => exact(six(x), y), [a, [6, ...b]])
    }
})

test('linear takes any axes in front of the features', async ({ gpu }) => {
  const product = (rows: number, into: number) => (x: number[], w: number[], b: number[]) =>
    Array.from({ length: rows * b.length }, (_, i) => {
      const [n, o] = [Math.floor(i / b.length), i % b.length]
      let sum = b[o] ?? NaN
      for (let k = 0; k < into; k++) sum += (x[n * into + k] ?? NaN) * (w[o * into + k] ?? NaN)
      return sum
    })
  for (const [x, rows] of [
    [[2, 3, 7], 6],
    [[7], 1],
    [[2, 1, 33, 7], 66],
  ] as const) {
    await checkOp(gpu, linear, product(rows, 7), [x, [5, 7], [5]])
    const none = [0, 0, 0, 0, 0]
    const without = (a: number[], w: number[]) => product(rows, 7)(a, w, none)
    await checkOp(gpu, (a, w) => linear(a, w), without, [x, [5, 7]])
  }
  assert.equal(
    linear(gpu.tensor(random(42), [2, 3, 7]), gpu.tensor(random(7), [1, 7])).shape,
    [2, 3, 1],
  )
})

test('linear adds its bias to every row', async ({ gpu }) => {
  for (const [N, into, out] of [
    [1, 1, 1],
    [5, 3, 7],
    [2, 4, 40],
    [65, 2, 9],
  ] as const) {
    const product = reference([1, N, into, out], false, true)
    const shapes = [[N, into], [out, into], [out]] as const
    await checkOp(
      gpu,
      linear,
      (x, w, b) => product(x ?? [], w ?? []).map((v, i) => v + (b?.[i % out] ?? NaN)),
      shapes,
    )
    await checkOp(gpu, (x, w) => linear(x, w), product, shapes.slice(0, 2))
  }
})

test('refuses shapes that do not fit, naming them', ({ gpu }) => {
  const t = (...shape: number[]) =>
    gpu.tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  const told = (run: () => unknown, message: string) =>
    assert.throws(run, (e: Error) => e.message === message)
  told(() => matmul(t(17, 33), t(5, 8)), 'matmul: inner dimensions differ, [17, 33] x [5, 8]')
  told(
    () => matmul(t(4, 3), t(4, 3), { transB: true, transA: true }),
    'matmul: inner dimensions differ, [4, 3] transposed x [4, 3] transposed',
  )
  told(
    () => matmul(t(2, 4, 3), t(3, 3, 4)),
    'matmul: batches differ, [2, 4, 3] x [3, 3, 4]; a factor may be one matrix for all, and expand repeats others',
  )
  told(
    () => matmul(t(4), t(4, 3)),
    'matmul: a and b must be matrices [rows, columns] or batches of them, got [4] and [4, 3]',
  )
  told(
    () => linear(t(2, 3), t(5, 4)),
    'linear: features differ, x [2, 3] has 3 and w [5, 4] takes 4',
  )
  told(() => linear(t(), t(5, 4)), 'linear: x must have a last axis of features [..., in], got []')
  told(
    () => linear(t(2, 3), t(5, 3), t(4)),
    'linear: b must have one value per output, got [4] for w [5, 3]',
  )
})

for (const name of goldenNames('matmul_'))
  test(`agrees with PyTorch: ${name}`, ({ gpu }) => matmulGolden(gpu, new Golden(name)))

for (const name of goldenNames('linear_').filter((known) => !known.startsWith('linear_probe_')))
  test(`agrees with PyTorch: ${name}`, ({ gpu }) => linearGolden(gpu, new Golden(name)))

test.run()
