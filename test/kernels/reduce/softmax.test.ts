import * as assert from 'uvu/assert'
import { type Shape, type Tensor, sizeOf } from '../../../kernels/op.ts'
import { crossEntropy } from '../../../kernels/loss/cross-entropy.ts'
import { l2Normalize } from '../../../kernels/reduce/l2-normalize.ts'
import { logSoftmax } from '../../../kernels/reduce/log-softmax.ts'
import { softmax } from '../../../kernels/reduce/softmax.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { gradientAt, matchesGolden } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('softmax')
const says = (message: string) => (e: Error) => e.message === message

/** f of every line of x along an axis. */
const linewise = (f: (line: number[]) => number[], shape: Shape, axis: number) => (x: number[]) => {
  const [R, B] = [shape[axis] ?? NaN, shape.slice(axis + 1).reduce((a, b) => a * b, 1)]
  const out = [...x]
  for (let start = 0; start < x.length; start += R * B)
    for (let b = 0; b < B; b++) {
      const places = Array.from({ length: R }, (_, r) => start + r * B + b)
      const line = f(places.map((i) => x[i] ?? NaN))
      for (const [r, i] of places.entries()) out[i] = line[r] ?? NaN
    }
  return out
}

const shapes: [Shape, number][] = [
  [[5, 7], 1],
  [[3, 64], 1],
  [[2, 131], 1],
  [[65, 3], 0],
  [[2, 5, 3], 1],
  [[9], 0],
]

test('logSoftmax', async ({ gpu }) => {
  const reference = (x: number[]) => {
    const sum = Math.log(x.reduce((a, v) => a + Math.exp(v), 0))
    return x.map((v) => v - sum)
  }
  for (const [shape, axis] of shapes)
    await checkOp(gpu, (x) => logSoftmax(x, axis), linewise(reference, shape, axis), [shape])
  assert.throws(() => logSoftmax(gpu.tensor([1], [1]), 1), says('logSoftmax: no axis 1 in [1]'))
  for (const name of ['log_softmax', 'log_softmax_large'])
    (await matchesGolden(gpu, name, ([x]) => logSoftmax(x))).done()
})

test('softmax', async ({ gpu }) => {
  const reference = (x: number[]) => {
    const most = Math.max(...x)
    const sum = x.reduce((a, v) => a + Math.exp(v - most), 0)
    return x.map((v) => Math.exp(v - most) / sum)
  }
  for (const [shape, axis] of shapes)
    for (const scale of [1, 200]) {
      const values = [random(sizeOf(shape), 3).map((v) => Math.fround(scale * v))]
      const f = linewise(reference, shape, axis)
      await checkOp(gpu, (x) => softmax(x, axis), f, [shape], { values })
    }
  assert.throws(() => softmax(gpu.tensor([1], [1]), 1), says('softmax: no axis 1 in [1]'))
})

test('softmax masks by -Infinity, and of nothing it is NaN', async ({ gpu }) => {
  const x = gpu.tensor([1, -Infinity, 1, -Infinity, -Infinity, -Infinity], [2, 3])
  const y = softmax(x)
  assert.equal([...(await gpu.read(y))], [0.5, 0, 0.5, NaN, NaN, NaN])
  const dx = await gradientAt(gpu, y, x, gpu.tensor([1, 5, 3, 0, 0, 0], [2, 3]))
  assert.equal([...dx.slice(0, 3)], [-0.5, 0, 0.5])
})

test('l2Normalize makes unit lines', async ({ gpu }) => {
  const reference = (x: number[]) => x.map((v) => v / Math.hypot(...x))
  for (const [shape, axis] of shapes)
    await checkOp(gpu, (x) => l2Normalize(x, { axis }), linewise(reference, shape, axis), [shape])
  assert.throws(
    () => l2Normalize(gpu.tensor([1], [1]), { axis: 1 }),
    says('l2Normalize: no axis 1 in [1]'),
  )
})

test('l2Normalize takes more lines than one row of workgroups', async ({ gpu }) => {
  const N = 65600
  const x = Float32Array.from({ length: 2 * N }, (_, i) => (i % 2 ? 4 : 3))
  const y = await gpu.read(l2Normalize(gpu.tensor(x, [N, 2])))
  assert.ok(y.every((v, i) => Math.abs(v - (i % 2 ? 0.8 : 0.6)) < 1e-6))
})

test('a zero row stays zero, and so does its gradient', async ({ gpu }) => {
  const x = gpu.tensor([0, 0, 3, 4], [2, 2])
  const y = l2Normalize(x)
  close(await gpu.read(y), [0, 0, 0.6, 0.8], 1e-6, 'value')
  const dx = await gradientAt(gpu, y, x, gpu.tensor([1, 1, 1, 0], [2, 2]))
  close(dx, [0, 0, 0.2 * (1 - 0.36), -0.2 * 0.48], 1e-6, 'gradient')
})

test('golden: l2_normalize', async ({ gpu }) => {
  for (const name of ['l2_normalize', 'l2_normalize_dim0'])
    (
      await matchesGolden(gpu, name, ([x], { config }) =>
        l2Normalize(x, { axis: Number(config['dim']) }),
      )
    ).done()
  for (const name of ['l2_normalize_zero_row', 'l2_normalize_zero_row_b'])
    (await matchesGolden(gpu, name, ([x]) => l2Normalize(x), { differentiated: [] })).done()
})

test('crossEntropy is the mean over the rows that count', async ({ gpu }) => {
  const reference = (C: number, labels: number[], ignored: number) => (x: number[]) => {
    const losses = labels.flatMap((label, n) => {
      const row = x.slice(n * C, (n + 1) * C)
      return label === ignored
        ? []
        : [Math.log(row.reduce((a, v) => a + Math.exp(v), 0)) - (row[label] ?? NaN)]
    })
    return [losses.reduce((a, b) => a + b, 0) / losses.length]
  }
  for (const [N, C] of [
    [1, 1],
    [3, 4],
    [5, 64],
    [7, 65],
    [130, 10],
  ] as const) {
    const labels = random(N, 5).map((v, n) =>
      n > 0 && n % 3 === 0 ? -100 : Math.floor(((v + 1) / 2) * C),
    )
    const f = reference(C, labels, -100)
    await checkOp(gpu, (x) => crossEntropy(x, labels), f, [[N, C]])
    await checkOp(gpu, (x) => crossEntropy(x, gpu.tensor(labels, [N])), f, [[N, C]])
  }
  await checkOp(
    gpu,
    (x) => crossEntropy(x, [1, 0, 2], { ignoreIndex: 0 }),
    reference(3, [1, 0, 2], 0),
    [[3, 3]],
  )
})

test('crossEntropy keeps its digits when a row is nearly learnt', async ({ gpu }) => {
  const x = gpu.tensor([0, 15, 0], [1, 3])
  const loss = crossEntropy(x, [1])
  const exact = Math.log1p(2 * Math.exp(-15))
  close([((await gpu.read(loss))[0] ?? NaN) / exact], [1], 5e-6, 'loss')
  const dx = await gradientAt(gpu, loss, x)
  close([(dx[1] ?? NaN) / (Math.exp(-exact) - 1)], [1], 5e-6, 'gradient')
})

test('labels that cannot be', async ({ gpu }) => {
  const x = gpu.tensor(random(6), [2, 3])
  assert.throws(
    () => crossEntropy(x, [0, 3]),
    says('crossEntropy: labels must be whole numbers from 0 to 2, got 3 at 1'),
  )
  assert.throws(
    () => crossEntropy(x, [0]),
    says('crossEntropy: one label per row is needed, got [1] for [2, 3]'),
  )
  assert.throws(
    () => crossEntropy(gpu.tensor([1], [1]), [0]),
    says('crossEntropy: logits must be a matrix [rows, columns], got [1]'),
  )
  const read = async (loss: Tensor) => (await gpu.read(loss))[0]
  assert.ok(Number.isNaN(await read(crossEntropy(x, gpu.tensor([0, 3], [2])))))
  assert.ok(Number.isNaN(await read(crossEntropy(x, [-100, -100]))))
})

test('a label in a tensor that is no class makes its row NaN, and no other', async ({ gpu }) => {
  const x = gpu.tensor(random(12), [4, 3])
  for (const labels of [
    gpu.tensor(Int32Array.of(0, 3, 2, -100), [4]),
    gpu.tensor(Int32Array.of(0, -1, 2, -100), [4]),
    ...[0.5, -100.4, NaN, Infinity, -1e30].map((label) => gpu.tensor([0, label, 2, -100], [4])),
  ]) {
    const loss = crossEntropy(x, labels)
    assert.ok(Number.isNaN((await gpu.read(loss))[0]))
    const gradient = await gradientAt(gpu, loss, x)
    for (const [i, d] of gradient.entries())
      assert.is(Number.isNaN(d), i >= 3 && i < 6, `gradient ${i}: ${d}`)
    assert.equal([...gradient.slice(9)], [0, 0, 0])
  }
  assert.throws(
    () => crossEntropy(x, gpu.tensor(Uint8Array.of(0, 1, 2, 0), [4])),
    says('crossEntropy: labels must be f32 or i32, got u8 [4]'),
  )
  assert.throws(
    () => crossEntropy(x, [0, 0, 0, 0], { ignoreIndex: 0.5 }),
    says('crossEntropy: ignoreIndex must be a whole number below 2^31, got 0.5'),
  )
})

test('golden: cross_entropy', async ({ gpu }) => {
  for (const name of [
    'cross_entropy',
    'cross_entropy_large',
    'cross_entropy_ignore',
    'cross_entropy_ignore_b',
  ]) {
    const golden = await matchesGolden(gpu, name, ([x], g) =>
      crossEntropy(x, g.indices(gpu, 'in.target'), {
        ignoreIndex: Number(g.config['ignore_index']),
      }),
    )
    golden.done()
  }
})

test.run()
