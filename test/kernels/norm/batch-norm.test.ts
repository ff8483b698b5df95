import * as assert from 'uvu/assert'
import { batchNorm } from '../../../kernels/norm/batch-norm.ts'
import type { Tensor, Variable } from '../../../kernels/op.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { batchNormReference as reference } from '../../fixtures/batch-norm-reference.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { Golden, goldenNames } from '../../fixtures/golden.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('batchNorm')

interface Config {
  readonly train: boolean
  readonly momentum: number
  readonly eps: number
  readonly steps: number
}

// Rows in chunks of 64 times the lanes (64 / C), merged 64 at a time.
for (const shape of [
  [2, 1],
  [3, 70],
  [64, 64],
  [65, 64],
  [130, 33],
  [2, 3, 5, 3],
  [4201, 1],
  [1, 2, 1, 5],
])
  test(`normalises by the batch's statistics: [${shape.join(', ')}]`, ({ gpu }) => {
    const C = shape.at(-1) ?? 1
    return checkOp(
      gpu,
      (x, gamma, beta) => batchNorm(x, gamma, beta, null, { training: true }),
      reference(C),
      [shape, [C], [C]],
    )
  })

test('normalises more rows than 64 chunks of 64, as exactly as few', async ({ gpu }) => {
  const [M, C] = [5000, 64]
  const x = random(M * C).map((v) => Math.fround(100 + v))
  const ones = Array.from({ length: C }, () => 1)
  const running = {
    mean: gpu.variable(new Float32Array(C), [C]),
    variance: gpu.variable(ones, [C]),
  }
  const y = batchNorm(
    gpu.tensor(x, [M, C]),
    gpu.tensor(ones, [C]),
    gpu.tensor(ones, [C]),
    running,
    {
      training: true,
      momentum: 1,
    },
  )
  const column = x.filter((_, i) => i % C === 0)
  const mean = column.reduce((a, b) => a + b, 0) / M
  const variance = column.reduce((a, b) => a + (b - mean) ** 2, 0) / (M - 1)
  close([(await gpu.read(running.mean))[0] ?? NaN], [mean], 1e-7, 'mean')
  close([(await gpu.read(running.variance))[0] ?? NaN], [variance], 1e-6, 'variance')
  close(await gpu.read(y), reference(C)(x, ones, ones), 1e-4, 'y')
})

test('normalises by the running statistics outside training, and leaves them alone', async ({
  gpu,
}) => {
  const [mean, variance] = [
    [0.5, -1, 2],
    [0.25, 1, 4],
  ]
  const running = { mean: gpu.variable(mean, [3]), variance: gpu.variable(variance, [3]) }
  await checkOp(
    gpu,
    (x, gamma, beta) => batchNorm(x, gamma, beta, running, { training: false }),
    reference(3, { mean, variance }),
    [[2, 5, 1, 3], [3], [3]],
  )
  assert.equal([...(await gpu.read(running.mean))], mean)
  assert.equal([...(await gpu.read(running.variance))], variance)
})

test('the gradient to x alone needs no other', async ({ gpu }) => {
  const [gamma, beta] = gpu.noGrad(() => [gpu.variable([2, 3], [2]), gpu.variable([0, 1], [2])])
  const running = { mean: gpu.variable([1, 2], [2]), variance: gpu.variable([1, 4], [2]) }
  const x = gpu.tensor([1, 2, 3, 4], [2, 2])
  const y = batchNorm(x, gamma, beta, running, { training: false, eps: 0 })
  close(await gpu.read(gpu.backward(y).of(x) ?? x), [2, 1.5, 2, 1.5], 1e-6, 'dx')
})

test('refuses what it cannot normalise', ({ gpu }) => {
  const t = (...shape: number[]) =>
    gpu.tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  const told = (x: Tensor, gamma: Tensor, training: boolean, message: string) =>
    assert.throws(
      () => batchNorm(x, gamma, t(3), null, { training }),
      (e: Error) => e.message === message,
    )
  told(t(3), t(3), true, 'batchNorm: x must have rows and channels [..., C], got [3]')
  told(
    t(2, 3),
    t(4),
    true,
    'batchNorm: gamma must have one value per channel, got [4] for x [2, 3]',
  )
  told(t(2, 3), t(3), false, 'batchNorm: running statistics are needed outside training, got null')
  told(
    t(1, 1, 1, 3),
    t(3),
    true,
    'batchNorm: training needs more than one value per channel, got x [1, 1, 1, 3]',
  )
})

test('refuses an empty batch in training, and outside it computes nothing of it', async ({
  gpu,
}) => {
  const t = (...shape: number[]) =>
    gpu.tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  const running = { mean: gpu.variable([0, 0, 0], [3]), variance: gpu.variable([1, 1, 1], [3]) }
  const [x, gamma] = [t(0, 3), t(3)]
  refuses(
    () => batchNorm(x, gamma, t(3), running, { training: true }),
    'batchNorm: training needs more than one value per channel, got x [0, 3]',
  )
  const y = batchNorm(x, gamma, t(3), running, { training: false })
  assert.equal(y.shape, [0, 3])
  assert.equal([...(await gpu.read(gpu.backward(y).of(gamma) ?? x))], [0, 0, 0])
})

test('refuses running statistics that are not f32, one per channel, of its own Gpu', ({ gpu }) => {
  const t = (...shape: number[]) =>
    gpu.tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
  const fine = gpu.variable([1, 1, 1], [3])
  const told = (mean: Variable, variance: Variable, message: string) => {
    const train = () => batchNorm(t(2, 3), t(3), t(3), { mean, variance }, { training: true })
    refuses(train, `batchNorm: ${message}`)
  }
  told(
    gpu.variable([1, 1], [2]),
    fine,
    'mean must have one value per channel, got [2] for x [2, 3]',
  )
  told(fine, gpu.variable(Int32Array.of(1, 1, 1), [3]), 'running variance must be f32, got i32 [3]')
  const other = new Gpu(gpu.device)
  told(other.variable([1, 1, 1], [3]), fine, 'running mean [3] belongs to another Gpu than x')
  other.destroy()
})

for (const name of goldenNames('batchnorm'))
  test(`agrees with PyTorch: ${name}`, async ({ gpu }) => {
    const golden = new Golden(name)
    const { train, momentum, eps: epsilon, steps } = golden.config as unknown as Config // as cases.json has it
    const [gamma, beta] = [golden.tensor(gpu, 'w.weight'), golden.tensor(gpu, 'w.bias')]
    const buffer = (key: string) => gpu.variable(golden.values(key), golden.shape(key))
    const running = { mean: buffer('buf.running_mean'), variance: buffer('buf.running_var') }
    for (let step = 0; step < steps; step++) {
      const at = steps > 1 ? `.${step}` : ''
      const x = input(golden, gpu, `in.x${at}`)
      const y = batchNorm(x, gamma, beta, running, { training: train, momentum, eps: epsilon })
      const gradients = gpu.backward(y, input(golden, gpu, `up.y${at}`))
      await match(golden, gpu, `out.y${at}`, y)
      await match(golden, gpu, `grad.x${at}`, gradients.of(x))
      await golden.match(gpu, `grad.weight${at}`, gradients.of(gamma))
      await golden.match(gpu, `grad.bias${at}`, gradients.of(beta))
      if (!train) continue
      await golden.match(gpu, `after.running_mean${at}`, running.mean)
      await golden.match(gpu, `after.running_var${at}`, running.variance)
      golden.expect(`after.num_batches_tracked${at}`, [step + 1]) // torch's counter; momentum needs none
    }
    golden.done()
  })

const input = (golden: Golden, gpu: Gpu, name: string) =>
  golden.shape(name).length === 4 ? golden.images(gpu, name) : golden.tensor(gpu, name)

const match = (golden: Golden, gpu: Gpu, name: string, got: Tensor | undefined) =>
  golden.shape(name).length === 4
    ? golden.matchImages(gpu, name, got)
    : golden.match(gpu, name, got)

test.run()
