import { type Shape, sizeOf } from '../../../kernels/op.ts'
import { variance } from '../../../kernels/reduce/variance.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('variance')

const of = (x: readonly number[], correction = 1) => {
  const mean = x.reduce((a, b) => a + b, 0) / x.length
  return x.reduce((a, b) => a + (b - mean) ** 2, 0) / (x.length - correction)
}

test('variance over any axes', async ({ gpu }) => {
  const all: Shape[] = [[2], [130], [3, 70]]
  for (const shape of all)
    await checkOp(
      gpu,
      (x) => variance(x),
      (x) => [of(x)],
      [shape],
    )
  const middle = (x: number[], correction: number) =>
    Array.from({ length: 6 }, (_, i) =>
      of(
        [0, 1, 2, 3].map((r) => x[Math.floor(i / 3) * 12 + r * 3 + (i % 3)] ?? NaN),
        correction,
      ),
    )
  for (const correction of [0, 1, 3])
    await checkOp(
      gpu,
      (x) => variance(x, -2, { keepDims: true, correction }),
      (x) => middle(x, correction),
      [[2, 4, 3]],
    )
})

test('a large mean costs no digits', async ({ gpu }) => {
  const x = random(512).map((v) => Math.fround(1000 + v))
  close(await gpu.read(variance(gpu.tensor(x, [512]))), [of(x)], 1e-5, 'variance')
})

test('too few elements are refused', ({ gpu }) => {
  const x = gpu.tensor(new Float32Array(sizeOf([3, 1])), [3, 1])
  refuses(
    () => variance(x, 1),
    'variance: needs more than 1 elements, as correction says, got 1 in [3, 1]',
  )
  refuses(() => variance(x, 2), 'variance: no axis 2 in [3, 1]')
})

test.run()
