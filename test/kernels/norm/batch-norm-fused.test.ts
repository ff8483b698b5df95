import * as assert from 'uvu/assert'
import { add } from '../../../kernels/elementwise/add.ts'
import { batchNorm } from '../../../kernels/norm/batch-norm.ts'
import { relu } from '../../../kernels/elementwise/relu.ts'
import type { Tensor } from '../../../kernels/op.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { batchNormReference as reference } from '../../fixtures/batch-norm-reference.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('batchNorm with ReLU and residual')

// ReLU, a residual, and both, for channels that go by fours and for those that do not.
for (const [N, C] of [
  [37, 5],
  [70, 8],
  [300, 4],
] as const)
  for (const training of [true, false]) {
    const name = `${training ? 'training' : 'evaluation'}: [${N}, ${C}]`
    const given = {
      mean: Array.from({ length: C }, (_, c) => 0.1 * c - 0.2),
      variance: Array.from({ length: C }, (_, c) => 0.5 + 0.1 * c),
    }
    const normal = reference(C, training ? undefined : given)
    const running = (gpu: Gpu) => ({
      mean: gpu.variable(given.mean, [C]),
      variance: gpu.variable(given.variance, [C]),
    })
    test(`rectifies in the same pass, ${name}`, ({ gpu }) => {
      const stats = running(gpu)
      return checkOp(
        gpu,
        (x, gamma, beta) => batchNorm(x, gamma, beta, stats, { training, relu: true }),
        (x, gamma, beta) => normal(x, gamma, beta).map((v) => Math.max(v, 0)),
        [[N, C], [C], [C]],
      )
    })

    test(`adds a residual in the same pass, ${name}`, ({ gpu }) => {
      const stats = running(gpu)
      return checkOp(
        gpu,
        (x, gamma, beta, residual) => batchNorm(x, gamma, beta, stats, { training, residual }),
        (x, gamma, beta, residual) =>
          normal(x, gamma, beta).map((v, i) => v + (residual[i] ?? NaN)),
        [[N, C], [C], [C], [N, C]],
      )
    })

    test(`adds a residual, then rectifies, ${name}`, ({ gpu }) => {
      const stats = running(gpu)
      return checkOp(
        gpu,
        (x, gamma, beta, residual) =>
          batchNorm(x, gamma, beta, stats, { training, residual, relu: true }),
        (x, gamma, beta, residual) =>
          normal(x, gamma, beta).map((v, i) => Math.max(v + (residual[i] ?? NaN), 0)),
        [[N, C], [C], [C], [N, C]],
      )
    })
  }

test('gives what batchNorm, add and relu give one after another, gradients included', async ({
  gpu,
}) => {
  const shape = [40, 8]
  const tensors = () => [
    gpu.tensor(random(320, 1), shape),
    gpu.tensor(random(8, 2), [8]),
    gpu.tensor(random(8, 3), [8]),
    gpu.tensor(random(320, 4), shape),
  ]
  const results = async ([x, gamma, beta, residual]: Tensor[], fused: boolean) => {
    assert.ok(x && gamma && beta && residual)
    if (!x || !gamma || !beta || !residual) return []
    const y = fused
      ? batchNorm(x, gamma, beta, null, { training: true, residual, relu: true })
      : relu(add(batchNorm(x, gamma, beta, null, { training: true }), residual))
    const gradients = gpu.backward(y, gpu.tensor(random(320, 5), shape))
    return Promise.all(
      [y, ...[x, gamma, beta, residual].map((t) => gradients.of(t) ?? y)].map((t) => gpu.read(t)),
    )
  }
  const [one, many] = [await results(tensors(), true), await results(tensors(), false)]
  for (const [i, values] of many.entries()) close(one[i] ?? [], values, 1e-6, `result ${i}`)
})

test('NaN stays NaN under ReLU, and hands the gradient on', async ({ gpu }) => {
  const [ones, zeros] = [gpu.tensor([1, 1, 1, 1], [4]), gpu.tensor([0, 0, 0, 0], [4])]
  const running = {
    mean: gpu.variable([0, 0, 0, 0], [4]),
    variance: gpu.variable([1, 1, 1, 1], [4]),
  }
  const x = gpu.tensor([NaN, -1, 0, 1], [1, 4])
  for (const residual of [null, gpu.tensor([0, 0, 0, 0], [1, 4])]) {
    const y = batchNorm(x, ones, zeros, running, { training: false, eps: 0, relu: true, residual })
    assert.equal([...(await gpu.read(y))], [NaN, 0, 0, 1])
    assert.equal([...(await gpu.read(gpu.backward(y).of(x) ?? x))], [1, 0, 0, 1])
  }
})

test('refuses a residual of another shape', ({ gpu }) => {
  const t = (...shape: number[]) =>
    gpu.tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  refuses(
    () => batchNorm(t(2, 3), t(3), t(3), null, { training: true, residual: t(3) }),
    "batchNorm: residual must have x's shape, got [3] for x [2, 3]",
  )
})

test.run()
