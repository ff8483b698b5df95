import * as assert from 'uvu/assert'
import { indexSelect } from '../../../kernels/shape/gather.ts'
import { batchNorm } from '../../../kernels/norm/batch-norm.ts'
import { shuffleOrder } from '../../../kernels/state/shuffle-order.ts'
import { sizeOf } from '../../../kernels/op.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { batchNormReference } from '../../fixtures/batch-norm-reference.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('split batch norm')

/** Rows of the samples n with n mod splits = s, of x [N, image, C]. */
const rowsOf = (
  x: readonly number[],
  [N, image, C]: readonly [number, number, number],
  splits: number,
  s: number,
) =>
  Array.from({ length: N / splits }, (_, a) => a * splits + s).flatMap((n) =>
    x.slice(n * image * C, (n + 1) * image * C),
  )

/** Each split normalised by itself in float64, back in the samples' order. */
function reference(shape: readonly [number, number, number], splits: number) {
  const [, image, C] = shape
  return (x: number[], gamma: number[], beta: number[], residual: number[] = []) => {
    const y: number[] = []
    for (let s = 0; s < splits; s++) {
      const normal = batchNormReference(C)(rowsOf(x, shape, splits, s), gamma, beta)
      for (const [i, value] of normal.entries()) {
        const n = Math.floor(i / (image * C)) * splits + s
        y[n * image * C + (i % (image * C))] = value
      }
    }
    return residual.length > 0 ? y.map((value, i) => Math.max(0, value + (residual[i] ?? NaN))) : y
  }
}

// Channels one by one and by four, rows of a split below, at and above a chunk of 64, more chunks
// than one.
for (const [shape, splits] of [
  [[4, 1, 3], 2],
  [[6, 5, 4], 3],
  [[8, 16, 64], 2],
  [[8, 33, 5], 8],
  [[16, 130, 1], 2],
  [[16, 40, 8], 8],
] as const)
  test(`each of ${splits} splits of [${shape.join(', ')}] by its own statistics`, async ({
    gpu,
  }) => {
    const C = shape[2]
    await checkOp(
      gpu,
      (x, gamma, beta) => batchNorm(x, gamma, beta, null, { training: true, splits }),
      reference(shape, splits),
      [shape, [C], [C]],
    )
    const away = (values: number[]) => values.map((v) => v + Math.sign(v)) // from the kink of ReLU
    await checkOp(
      gpu,
      (x, gamma, beta, residual) =>
        batchNorm(x, gamma, beta, null, { training: true, splits, residual, relu: true }),
      reference(shape, splits),
      [shape, [C], [C], shape],
      {
        values: [
          random(sizeOf(shape), 1),
          Array.from({ length: C }, () => 0.1),
          Array.from({ length: C }, () => 0.1),
          away(random(sizeOf(shape), 4)),
        ],
      },
    )
  })

// Batches in turn, of one row and of several chunks of rows; channels by four and one by one.
for (const [shape, batches] of [
  [[4, 1, 3], 2],
  [[6, 33, 4], 3],
  [[4, 130, 8], 2],
] as const)
  test(`each of ${batches} batches of [${shape.join(', ')}] as if it came alone`, async ({
    gpu,
  }) => {
    const C = shape[2]
    const size = sizeOf(shape) / batches
    const apart = (x: number[], gamma: number[], beta: number[]) =>
      Array.from({ length: batches }, (_, b) =>
        batchNormReference(C)(x.slice(b * size, (b + 1) * size), gamma, beta),
      ).flat()
    const guest = new Gpu(gpu.device, { kernels: 'gpu' })
    for (const machine of [gpu, guest])
      await checkOp(
        machine,
        (x, gamma, beta) => batchNorm(x, gamma, beta, null, { training: true, batches }),
        apart,
        [shape, [C], [C]],
      )
    guest.destroy()
  })

test('running statistics follow batches in turn, as those of calls one by one', async ({ gpu }) => {
  const shape = [6, 5, 2] as const
  const x = random(sizeOf(shape)).map((v, i) => v + (i % 2) * 5 + (i < 30 ? 3 : 0))
  const ones = gpu.tensor([1, 1], [2])
  const made = () => ({ mean: gpu.variable([1, 2], [2]), variance: gpu.variable([3, 4], [2]) })
  const [together, apart] = [made(), made()]
  const training = { training: true, momentum: 0.1 }
  const y = batchNorm(gpu.tensor(x, shape), ones, ones, together, { ...training, batches: 2 })
  const each = [x.slice(0, 30), x.slice(30)].map((part) =>
    batchNorm(gpu.tensor(part, [3, 5, 2]), ones, ones, apart, training),
  )
  const [first, second] = await Promise.all(each.map((part) => gpu.read(part)))
  close(await gpu.read(y), [...(first ?? []), ...(second ?? [])], 1e-6, 'y')
  for (const name of ['mean', 'variance'] as const)
    close(await gpu.read(together[name]), await gpu.read(apart[name]), 1e-6, name)
})

test('running statistics follow the mean over the splits, with the unbiased variance', async ({
  gpu,
}) => {
  const shape = [8, 3, 2] as const
  const [splits, momentum, C] = [4, 0.1, 2]
  const x = random(sizeOf(shape)).map((v, i) => v + (i % 2) * 5)
  const running = { mean: gpu.variable([1, 2], [C]), variance: gpu.variable([3, 4], [C]) }
  const ones = gpu.tensor([1, 1], [C])
  batchNorm(gpu.tensor(x, shape), ones, ones, running, { training: true, momentum, splits })
  const expected = [0, 1].map((c) => {
    const each = [0, 1, 2, 3].map((s) => {
      const column = rowsOf(x, shape, splits, s).filter((_, i) => i % C === c)
      const mean = column.reduce((a, b) => a + b) / column.length
      return {
        mean,
        variance: column.reduce((a, b) => a + (b - mean) ** 2, 0) / (column.length - 1),
      }
    })
    const follow = (old: number, key: 'mean' | 'variance') =>
      (1 - momentum) * old + (momentum * each.reduce((a, b) => a + b[key], 0)) / splits
    return { mean: follow(1 + c, 'mean'), variance: follow(3 + c, 'variance') }
  })
  close(
    await gpu.read(running.mean),
    expected.map((e) => e.mean),
    1e-6,
    'mean',
  )
  close(
    await gpu.read(running.variance),
    expected.map((e) => e.variance),
    1e-6,
    'variance',
  )
})

test('refuses splits that do not divide the batch, leave one value, or stand outside training', ({
  gpu,
}) => {
  const [x, c] = [gpu.tensor(random(12), [6, 2]), gpu.tensor([1, 1], [2])]
  const running = { mean: gpu.variable([0, 0], [2]), variance: gpu.variable([1, 1], [2]) }
  const act =
    (splits: number, training = true) =>
    () =>
      batchNorm(x, c, c, running, { training, splits })
  refuses(act(4), 'batchNorm: splits must divide the samples of x [6, 2], got 4')
  refuses(
    act(6),
    'batchNorm: training needs more than one value per channel and split, got x [6, 2] in 6 splits',
  )
  refuses(act(2, false), 'batchNorm: there are splits in training only, got 2')
  const batches =
    (count: number, more = {}) =>
    () =>
      batchNorm(x, c, c, running, { training: true, batches: count, ...more })
  refuses(batches(4), 'batchNorm: batches must divide the samples of x [6, 2], got 4')
  refuses(
    batches(6),
    'batchNorm: training needs more than one value per channel and batch, got x [6, 2] in 6 batches',
  )
  refuses(batches(2, { training: false }), 'batchNorm: there are batches in training only, got 2')
  refuses(batches(2, { splits: 3 }), 'batchNorm: give splits or batches, not both, got 3 and 2')
})

test('a shuffle is a permutation of its own for each seed and step, and is undone', async ({
  gpu,
}) => {
  const seen = new Set<string>()
  for (const [N, seed, step] of [
    [1, 0, 0],
    [65, 0, 0],
    [65, 0, 1],
    [65, 1, 0],
    [300, 0, 0],
  ] as const) {
    const x = gpu.tensor(random(2 * N), [N, 2])
    const { order, inverse } = shuffleOrder(x, { seed, step })
    const places = [...(await gpu.read(order))]
    assert.equal(
      places.toSorted((a, b) => a - b),
      Array.from({ length: N }, (_, n) => n),
    )
    const back = indexSelect(indexSelect(x, 0, order), 0, inverse)
    assert.equal(await gpu.read(back), await gpu.read(x))
    assert.equal([...(await gpu.read(shuffleOrder(x, { seed, step }).order))], places)
    seen.add(places.join())
  }
  assert.is(seen.size, 5)
  const orderOf = async (N: number, offset: number) => {
    const { order } = shuffleOrder(gpu.tensor(random(N), [N]), { seed: 0, step: 0, offset })
    return [...(await gpu.read(order))]
  }
  assert.is.not((await orderOf(20, 20)).join(), (await orderOf(20, 0)).join()) // another chunk of the batch
  const whole = await orderOf(40, 0) // rows draw by their number, so a part keeps its order among itself
  assert.equal(
    whole.flatMap((n) => (n >= 20 ? [n - 20] : [])),
    await orderOf(20, 20),
  )
  refuses(
    () => shuffleOrder(gpu.tensor([1], []), { seed: 0, step: 0 }),
    'shuffleOrder: x must have rows [N, ...], got []',
  )
})

test.run()
