import * as assert from 'uvu/assert'
import { ntXent, ntXentOp } from '../../../kernels/loss/ntxent.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { Golden, goldenNames } from '../../fixtures/golden.ts'
import { ntXentGolden } from '../../fixtures/golden-products.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { dot, logSumExp, unitRows } from '../../fixtures/similarities.ts'
import { variants } from '../../fixtures/variants.ts'

const test = gpuSuite('ntXent')

/** Eq. 1 of the paper, written out. */
function reference(N: number, D: number, T: number, normalized: boolean) {
  return (z1: number[], z2: number[]): number[] => {
    const rows = unitRows([...z1, ...z2], D, normalized)
    const losses = rows.map((row, i) => {
      const s = rows.map((other) => dot(row, other) / T)
      return logSumExp(s.filter((_, j) => j !== i)) - (s[(i + N) % (2 * N)] ?? NaN)
    })
    return [losses.reduce((a, b) => a + b) / (2 * N)]
  }
}

const cases = [
  [1, 3, 0.5, false],
  [2, 1, 0.5, true],
  [3, 7, 0.5, false],
  [32, 16, 0.1, false],
  [33, 65, 0.2, false],
  [64, 8, 0.5, false], // a tile for each view
  [65, 24, 0.5, false], // one row more
  [150, 9, 0.05, false], // several blocks of tiles
  [9, 5, 0.01, false],
  [40, 8, 10, true],
  [3, 515, 0.3, false],
] as const

for (const [variant, apply] of variants(ntXentOp)) {
  for (const [N, D, temperature, normalized] of cases) {
    const given = normalized ? ', unit rows given' : ''
    test(`equals Eq. 1 for N = ${N}, D = ${D}, T = ${temperature}${given}${variant}`, ({ gpu }) =>
      checkOp(
        gpu,
        (a, b) => apply({ temperature, normalized }, a, b),
        reference(N, D, temperature, normalized),
        [
          [N, D],
          [N, D],
        ],
      ))
  }
}

for (const name of goldenNames('ntxent_'))
  test(`${name} agrees with the original code`, ({ gpu }) => ntXentGolden(gpu, new Golden(name)))

test('is log(2N - 1) when all embeddings are equal, to 1e-6 at any temperature', async ({
  gpu,
}) => {
  for (const N of [2, 3, 50, 512, 1000])
    for (const T of [0.01, 0.5, 10]) {
      const values = Float32Array.from(
        { length: N * 4 },
        (_, i) => [0.3, -0.2, 0.9, 0.1][i % 4] ?? 0,
      )
      const [got = NaN] = await gpu.read(
        ntXent(gpu.tensor(values, [N, 4]), gpu.tensor(values, [N, 4]), T),
      )
      assert.ok(Math.abs(got - Math.log(2 * N - 1)) < 1e-6, `N = ${N}, T = ${T}: got ${got}`)
    }
})

test('keeps its digits when the loss is tiny', async ({ gpu }) => {
  const [N, D, T] = [4, 8, 0.1]
  const z = random(N * D, 5).map((v, i) => v * 0.01 + Number(i % D === Math.floor(i / D)))
  const [a, b] = [gpu.tensor(z, [N, D]), gpu.tensor(z, [N, D])]
  const loss = ntXent(a, b, T)
  const [got = NaN] = await gpu.read(loss)
  const [want = NaN] = reference(N, D, T, false)(z, z)
  assert.ok(want < 1e-3, `the case is meant to be easy, loss ${want}`)
  assert.ok(Math.abs(got - want) < 1e-4 * want, `got ${got}, expected ${want}`)
})

test('a lone image has no loss, and a dead row no gradient', async ({ gpu }) => {
  const [a, b] = [gpu.tensor([1, 2], [1, 2]), gpu.tensor([2, 1], [1, 2])]
  const alone = ntXent(a, b, 0.5)
  assert.equal([...(await gpu.read(alone))], [0])
  assert.equal([...(await gpu.read(gpu.backward(alone).of(a) ?? b))], [0, 0])

  const [z1, z2] = [gpu.tensor([0, 0, 1, 2], [2, 2]), gpu.tensor([2, 1, 1, 1], [2, 2])]
  const loss = ntXent(z1, z2, 0.5)
  const gradient = await gpu.read(gpu.backward(loss).of(z1) ?? z1)
  assert.equal([gradient[0], gradient[1]], [0, 0]) // as l2Normalize: no direction, no gradient
  assert.ok(
    Number.isFinite((await gpu.read(loss))[0]) &&
      Math.hypot(gradient[2] ?? 0, gradient[3] ?? 0) > 0,
  )
})

for (const wanted of [1e-4, 1e-3, 1.6e-3, 3e-3, 1e-2, 1e-1]) {
  test(`a loss near ${wanted} keeps its digits, and so does its gradient`, async ({ gpu }) => {
    const [N, D] = [4, 8]
    const base = random(N * D, 5).map((v, i) => v * 0.01 + Number(i % D === Math.floor(i / D)))
    const value = (T: number) => reference(N, D, T, false)(base, base)[0] ?? NaN
    let [low, high] = [0.02, 5] // the temperature that gives the wanted loss
    for (let i = 0; i < 60; i++)
      [low, high] =
        value((low + high) / 2) < wanted ? [(low + high) / 2, high] : [low, (low + high) / 2]
    const [a, b] = [gpu.tensor(base, [N, D]), gpu.tensor(base, [N, D])]
    const loss = ntXent(a, b, low)
    const [got = NaN] = await gpu.read(loss)
    assert.ok(Math.abs(got - value(low)) < 1e-5 * wanted, `got ${got}, expected ${value(low)}`)
    const gradient = await gpu.read(gpu.backward(loss).of(a) ?? a)
    const direction = random(N * D, 9)
    const along = (eps: number) =>
      reference(
        N,
        D,
        low,
        false,
      )(
        base.map((v, i) => v + eps * (direction[i] ?? 0)),
        base,
      )[0] ?? NaN
    const numeric = (along(1e-5) - along(-1e-5)) / 2e-5
    const analytic = gradient.reduce((sum, g, i) => sum + g * (direction[i] ?? 0), 0)
    assert.ok(
      Math.abs(analytic - numeric) < 1e-4 * Math.abs(numeric),
      `got ${analytic}, expected ${numeric}`,
    )
  })
}

test('is log(1 + 2 exp(-1 / T)) when two images are at right angles', async ({ gpu }) => {
  const z = gpu.tensor([1, 0, 0, 1], [2, 2])
  for (let T = 0.1; T < 0.4; T += 0.01) {
    const [got = NaN] = await gpu.read(ntXent(z, z, T))
    close(
      [got / Math.log1p(2 * Math.exp(-1 / Math.fround(T)))],
      [1],
      2e-6,
      `T = ${T}, loss ${got}: ratio`,
    )
  }
})

test('NaN and infinity in any row make the loss NaN', async ({ gpu }) => {
  const fine = gpu.tensor(random(12, 3), [4, 3])
  for (const bad of [NaN, Infinity, -Infinity]) {
    const z = gpu.tensor([...random(11, 4), bad], [4, 3])
    for (const loss of [ntXent(z, fine, 0.5), ntXent(fine, z, 0.5)])
      assert.ok(Number.isNaN((await gpu.read(loss))[0]), `${bad}`)
  }
})

test('two runs give the same bits', async ({ gpu }) => {
  const once = async () => {
    const [a, b] = [
      gpu.tensor(random(150 * 9, 1), [150, 9]),
      gpu.tensor(random(150 * 9, 2), [150, 9]),
    ]
    const loss = ntXent(a, b, 0.1)
    const gradients = gpu.backward(loss)
    return Promise.all([loss, gradients.of(a) ?? b, gradients.of(b) ?? a].map((t) => gpu.read(t)))
  }
  assert.equal(await once(), await once())
})

test('forward and backward are six dispatches, whatever the size', async ({ gpu }) => {
  for (const [N, D] of [
    [3, 2],
    [200, 40],
  ] as const) {
    const [a, b] = [gpu.tensor(random(N * D, 1), [N, D]), gpu.tensor(random(N * D, 2), [N, D])]
    await gpu.sync()
    const before = gpu.stats().dispatches
    gpu.backward(ntXent(a, b, 0.5))
    await gpu.sync()
    assert.is(gpu.stats().dispatches - before, 6)
  }
})

test('refuses what it cannot mean', ({ gpu }) => {
  const z = gpu.tensor([1, 2, 3, 4], [2, 2])
  assert.throws(
    () => ntXent(z, gpu.tensor([1, 2], [1, 2]), 0.5),
    /one shape, got \[2, 2\] and \[1, 2\]/,
  )
  assert.throws(() => ntXent(z, z, 0), /temperature must be a positive number, got 0/)
  assert.throws(() => ntXent(z, z, NaN), /temperature must be a positive number, got NaN/)
  assert.throws(
    () => ntXent(gpu.tensor([1], [1, 1, 1]), z, 1),
    /z1 must be a matrix \[rows, columns\], got \[1, 1, 1\]/,
  )
})

test.run()
