// Tests numbers at the ends of f32's range, and sizes at the limits of WebGPU.

import * as assert from 'uvu/assert'
import { readTemperature } from '../../cli/numbers.ts'
import { knn } from '../../evaluate/knn.ts'
import { avgPool } from '../../kernels/pool/avg-pool.ts'
import { clipLoss } from '../../kernels/loss/clip-loss.ts'
import { crossEntropy } from '../../kernels/loss/cross-entropy.ts'
import { dcl, dclw } from '../../kernels/loss/dcl.ts'
import { div } from '../../kernels/elementwise/div.ts'
import { infoNce } from '../../kernels/loss/infonce.ts'
import { log } from '../../kernels/elementwise/log.ts'
import { logSoftmax } from '../../kernels/reduce/log-softmax.ts'
import { logSumExp } from '../../kernels/reduce/logsumexp.ts'
import { maxPool } from '../../kernels/pool/max-pool.ts'
import { nceMaps } from '../../kernels/loss/nce-maps.ts'
import { similarities } from '../../kernels/loss/nce.ts'
import { ntXent } from '../../kernels/loss/ntxent.ts'
import type { Tensor } from '../../kernels/op.ts'
import { slice } from '../../kernels/shape/slice.ts'
import { sqrt } from '../../kernels/elementwise/sqrt.ts'
import { supCon } from '../../kernels/loss/supcon.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { gradientAt } from '../fixtures/golden-op.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('extremes')
const { fround } = Math
const INF = Infinity

/** Asserts that numbers are equal to three units of the last digit, or both NaN; subnormal ones may
 *  be 0. */
function equal(got: ArrayLike<number>, expected: readonly number[], what: string) {
  assert.is(got.length, expected.length, what)
  for (const [i, e] of expected.entries()) {
    const g = got[i] ?? NaN
    const tiny = Math.abs(e) < 2 ** -126
    const near = Number.isFinite(e) && Math.abs(g - e) <= 3 * 2 ** -23 * Math.abs(e)
    assert.ok(
      Object.is(g, e) || near || (tiny && Math.abs(g) < 2 ** -126),
      `${what}[${i}]: ${g}, not ${e}`,
    )
  }
}

const numerators = [1e-39, -3e-42, 1e-45, 1e-30, 1, 0, -5, 1e38, INF, NaN].map(fround)
const divisors = [1e-39, 1e-40, -1e-44, 2 ** -126, 1e-10, 0, 2, 8.6e37, -1e38, 3e38, INF, NaN].map(
  fround,
)

test('div by subnormal and huge numbers, and of them, is right', async ({ gpu }) => {
  const a = gpu.tensor(numerators, [numerators.length, 1])
  const b = gpu.tensor(divisors, [divisors.length])
  const pairs = numerators.flatMap((x) => divisors.map((y) => [x, y] as const))
  const y = div(a, b)
  const quotients = pairs.map(([p, q]) => fround(p / q))
  equal(await gpu.read(y), quotients, 'a / b')
})

test('the gradients of div by subnormal and huge numbers are right', async ({ gpu }) => {
  const pairs = numerators.flatMap((x) => divisors.map((y) => [x, y] as const))
  const [a, b] = [0, 1].map((k) =>
    gpu.tensor(
      pairs.map((pair) => pair[k] ?? NaN),
      [pairs.length],
    ),
  ) as [Tensor, Tensor]
  const weights = pairs.map((_, i) => fround(0.3 + (i % 5)))
  const y = div(a, b)
  const gradients = gpu.backward(y, gpu.tensor(weights, [pairs.length]))
  const da = await gpu.read(gradients.of(a) ?? y)
  equal(
    da,
    pairs.map(([, q], i) => fround((weights[i] ?? NaN) / q)),
    'da',
  )
  const db = await gpu.read(gradients.of(b) ?? y)
  for (const [i, [p, q]] of pairs.entries()) {
    const expected = fround((-(weights[i] ?? NaN) * p) / q / q)
    const few = Math.abs(p / q) < 2 ** -110 || Math.abs(p / q / q) < 2 ** -110 // y's digits are few
    if (!few) equal([db[i] ?? NaN], [expected], `db of ${p} / ${q}`)
  }
})

test('a number that has no f32 reciprocal is divided by all the same', async ({ gpu }) => {
  for (const by of [1e-39, -1e-44, 1e38, 3e38]) {
    const x = gpu.tensor(numerators, [numerators.length])
    const dy = gpu.tensor(
      numerators.map(() => 0.5),
      x.shape,
    )
    const y = div(x, by)
    equal(
      await gpu.read(y),
      numerators.map((v) => fround(v / fround(by))),
      `x / ${by}`,
    )
    equal(
      await gradientAt(gpu, y, x, dy),
      numerators.map(() => fround(0.5 / fround(by))),
      `dx by ${by}`,
    )
  }
})

test('log and sqrt of subnormal numbers are right', async ({ gpu }) => {
  const x = [1e-39, 1e-42, 1e-45, 0, -1e-40, 1].map(fround)
  equal(await gpu.read(log(gpu.tensor(x, [6]))), x.map(Math.log).map(fround), 'log')
  equal(await gpu.read(sqrt(gpu.tensor(x, [6]))), x.map(Math.sqrt).map(fround), 'sqrt')
})

const rows: readonly (readonly number[])[] = [
  [INF, 1, 2],
  [INF, INF, -INF],
  [-INF, -INF, -INF],
  [-INF, 3, 3],
  [INF, 1000, -1000],
]

test("logSumExp of infinities is PyTorch's, and so is its gradient", async ({ gpu }) => {
  const x = gpu.tensor(rows.flat(), [5, 3])
  const y = logSumExp(x)
  equal(await gpu.read(y), [INF, INF, -INF, fround(3 + Math.log(2)), INF], 'logSumExp')
  const dx = await gradientAt(gpu, y, x, gpu.tensor([1, 1, 1, 1, 1], [5]))
  equal(dx, [NaN, 0, 0, NaN, NaN, 0, NaN, NaN, NaN, 0, 0.5, 0.5, NaN, 0, 0], 'gradient')
  const down = gpu.tensor(rows.flat(), [3, 5])
  equal(
    await gpu.read(logSumExp(down, 0)),
    [INF, fround(3 + Math.log1p(Math.exp(-2))), INF, INF, INF],
    'along axis 0',
  )
})

test("logSoftmax and crossEntropy of infinities are PyTorch's", async ({ gpu }) => {
  const none = [NaN, NaN, NaN]
  const half = fround(-Math.log(2))
  const x = gpu.tensor(rows.flat(), [5, 3])
  const expected = [...none, ...none, ...none, -INF, half, half, ...none]
  equal(await gpu.read(logSoftmax(x)), expected, 'logSoftmax')
  for (const [row, label, loss, gradient] of [
    [0, 0, NaN, none],
    [0, 1, NaN, none],
    [2, 1, NaN, none],
    [3, 0, INF, [-1, 0.5, 0.5]],
    [3, 1, -half, [0, -0.5, 0.5]],
    [4, 0, NaN, none],
  ] as const) {
    const logits = gpu.tensor(rows[row] ?? [], [1, 3])
    const found = crossEntropy(logits, [label])
    equal(await gpu.read(found), [loss], `crossEntropy of row ${row}, label ${label}`)
    const dx = await gradientAt(gpu, found, logits, gpu.tensor([1], []))
    equal(dx, gradient, `its gradient, row ${row}, label ${label}`)
  }
})

const LONG = 2 ** 23 + 40
const END = 24 // pixels looked at

/** A long row, 0 but for its last pixels. */
function longRow(gpu: Gpu, value: (i: number) => number): Tensor {
  const values = new Float32Array(LONG)
  for (let i = LONG - 2 * END; i < LONG; i++) values[i] = value(i)
  return gpu.tensor(values, [1, 1, LONG, 1])
}

test('pooling is differentiated exactly beyond 2^23 positions', async ({ gpu }) => {
  const [most, means] = [new Float32Array(LONG), new Float32Array(LONG)]
  for (let o = LONG - END - 4; o < LONG; o++) {
    const window = [o - 1, o, o + 1].filter((i) => i < LONG)
    const first = window.reduce((a, b) => ((b * 5) % 7 > (a * 5) % 7 ? b : a))
    most[first] = (most[first] ?? 0) + 1 + (o % 8)
    for (const i of window) means[i] = (means[i] ?? 0) + (1 + (o % 8)) / 9
  }
  const x = longRow(gpu, (i) => (i * 5) % 7)
  const dy = longRow(gpu, (i) => 1 + (i % 8))
  for (const [pool, expected] of [
    [maxPool, most],
    [avgPool, means],
  ] as const) {
    const y = pool(x, { size: 3, stride: 1, padding: 1 })
    const dx = gpu.backward(y, dy).of(x) ?? dy
    const end = gpu.read(slice(dx, 2, LONG - END, LONG))
    equal(await end, [...expected.slice(-END)], pool.name)
  }
})

test('temperatures without a reciprocal in f32 are refused by every loss', async ({ gpu }) => {
  const z = gpu.tensor([1, 2, 3, 4], [2, 2])
  const labels = gpu.tensor(Int32Array.of(0, 1), [2])
  for (const T of [1e-39, 1e-44, 1e-300]) {
    const losses: Record<string, () => unknown> = {
      ntXent: () => ntXent(z, z, T),
      infoNce: () => infoNce(z, z, z, T),
      dcl: () => dcl(z, z, T),
      dclw: () => dclw(z, z, T),
      clipLoss: () => clipLoss(z, z, T),
      supCon: () => supCon(z, z, labels, T),
      similarities: () => similarities(z, z, z, T),
    }
    for (const [name, loss] of Object.entries(losses))
      refuses(
        loss,
        `${name}: the temperature must be at least 2^-126 (about 1.2e-38), as f32 has no reciprocal of less, got ${T}`,
      )
    const message = await knn(z, labels, z, { temperature: T }).catch(
      (error: Error) => error.message,
    )
    assert.is(message, `knn: temperature must be at least 2^-126 (about 1.2e-38), got ${T}`)
    refuses(
      () => nceMaps(z, z, { clip: T }),
      `nceMaps: the clip must lie from 2^-126 to 2^126, where f32 divides, got ${T}`,
    )
    assert.throws(() => readTemperature(String(T)), /must be a number from 1.2e-38/)
  }
  refuses(
    () => similarities(z, z, z, 0),
    'similarities: the temperature must be a positive number, got 0',
  )
  const least = await gpu.read(ntXent(z, z, 2 ** -126))
  assert.ok(Number.isFinite(least[0]))
})

test.run()
