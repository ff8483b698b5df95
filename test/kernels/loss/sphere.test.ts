// Alignment and uniformity on the unit sphere, and supCon of one set of rows, against float64 and
// PyTorch.

import * as assert from 'uvu/assert'
import { add } from '../../../kernels/elementwise/add.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import { alignment } from '../../../kernels/loss/alignment.ts'
import { supCon, supConOfRows } from '../../../kernels/loss/supcon.ts'
import { uniformity, uniformityOp } from '../../../kernels/loss/uniformity.ts'
import { concat } from '../../../kernels/shape/concat.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { Golden } from '../../fixtures/golden.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { call, refusesAll } from '../../fixtures/misuse.ts'
import { dot, logSumExp, meanOf, unitRows } from '../../fixtures/similarities.ts'
import { variants } from '../../fixtures/variants.ts'

const [test, full] = quickAndFull(gpuSuite('losses on the sphere'))

for (const name of ['align_uniform_50x8', 'align_uniform_N2'])
  test(`alignment and uniformity match ${name}`, async ({ gpu }) => {
    const golden = new Golden(name)
    const [x, y] = [golden.tensor(gpu, 'in.x'), golden.tensor(gpu, 'in.y')]
    const [a, ux, uy] = [alignment(x, y), uniformity(x), uniformity(y)]
    await golden.match(gpu, 'out.alignment', a)
    await golden.match(gpu, 'out.uniformity_x', ux)
    await golden.match(gpu, 'out.uniformity_y', uy)
    const gradients = gpu.backward(add(a, mul(add(ux, uy), 0.5)))
    await golden.match(gpu, 'grad.x', gradients.of(x))
    await golden.match(gpu, 'grad.y', gradients.of(y))
    golden.done()
  })

const potential = (D: number, t: number) => (z: number[]) => {
  const rows = unitRows(z, D)
  const all = rows.flatMap((a, i) =>
    rows.flatMap((b, j) => (i === j ? [] : [-t * (2 - 2 * dot(a, b))])),
  )
  return [logSumExp(all) - Math.log(all.length)]
}

const classLoss = (D: number, T: number, labels: readonly number[]) => (z: number[]) => {
  const rows = unitRows(z, D)
  return [
    meanOf(
      rows.map((row, i) => {
        const s = rows.map((other) => dot(row, other) / T)
        const same = s.filter((_, j) => j !== i && labels[j] === labels[i] && labels[i] !== -1)
        return same.length === 0 ? 0 : logSumExp(s.filter((_, j) => j !== i)) - meanOf(same)
      }),
    ),
  ]
}

for (const [N, D, t, machines] of [
  [2, 3, 2, []],
  [3, 1, 0.5, ['GPU kernels']],
  [64, 7, 2, []],
  [65, 16, 5, ['GPU kernels']],
  [131, 20, 1, []],
] as const) {
  const by = (variant: string) => (variant === '' ? test : full)
  for (const [variant, apply] of variants(uniformityOp, machines))
    by(variant)(`uniformity of ${N} rows of ${D}, t = ${t}${variant}`, ({ gpu }) =>
      checkOp(gpu, (z) => apply({ t, normalized: false }, z), potential(D, t), [[N, D]]),
    )
  const labels = random(N, 5).map((v) => Math.floor((v + 1) * 1.5) - 1) // -1, 0 or 1
  for (const [variant, apply] of variants(supConOfRows, machines))
    by(variant)(`supCon of ${N} rows of ${D}${variant}`, ({ gpu }) => {
      const classes = gpu.tensor(Int32Array.from(labels), [N])
      const attrs = { temperature: 1 / t, normalized: false }
      return checkOp(gpu, (z) => apply(attrs, z, classes), classLoss(D, 1 / t, labels), [[N, D]])
    })
}

test('alignment takes any power of the distance', ({ gpu }) =>
  checkOp(
    gpu,
    (a, b) => alignment(a, b, { alpha: 1.5 }),
    (a, b) => {
      const [x, y] = [unitRows(a, 3), unitRows(b, 3)]
      return [
        meanOf(x.map((row, n) => Math.hypot(...row.map((v, c) => v - (y[n]?.[c] ?? NaN))) ** 1.5)),
      ]
    },
    [
      [5, 3],
      [5, 3],
    ],
  ))

test('equal rows are perfectly aligned and not uniform at all', async ({ gpu }) => {
  const z = gpu.tensor([3, 4, 6, 8, 0.3, 0.4], [3, 2])
  for (const loss of [alignment(z, z), alignment(z, z, { alpha: 1 }), uniformity(z)])
    close([await gpu.item(loss)], [0], 1e-6, 'equal rows')
  const spread = await gpu.item(uniformity(gpu.tensor([1, 0, -1, 0], [2, 2]), { t: 3 }))
  close([spread], [-12], 1e-5, 'opposite rows')
})

test('supCon of rows equals supCon of two views', async ({ gpu }) => {
  const [z1, z2] = [gpu.tensor(random(12, 1), [4, 3]), gpu.tensor(random(12, 2), [4, 3])]
  const ofViews = supCon(z1, z2, [0, 1, 0, 2], 0.2)
  const ofRows = supCon(concat([z1, z2], 0), [0, 1, 0, 2, 0, 1, 0, 2], 0.2)
  close([await gpu.item(ofRows)], [await gpu.item(ofViews)], 1e-5, 'rows and views')
})

test('a row of supCon that is alone adds nothing; NaN stays', async ({ gpu }) => {
  const z = gpu.tensor(random(8, 3), [4, 2])
  assert.is(await gpu.item(supCon(z, [-1, -1, 5, 6], 0.5)), 0)
  const gradient = gpu.backward(supCon(z, [-1, -1, 5, 6], 0.5)).of(z)
  assert.ok(gradient && (await gpu.read(gradient)).every((v) => v === 0))
  for (const bad of [NaN, Infinity]) {
    const broken = gpu.tensor([1, 2, bad, 1, 0, 1], [3, 2])
    assert.ok(Number.isNaN(await gpu.item(supCon(broken, [-1, -1, -1], 1))), 'supCon')
    assert.ok(Number.isNaN(await gpu.item(uniformity(broken))), 'uniformity')
    assert.ok(Number.isNaN(await gpu.item(alignment(broken, broken))), 'alignment')
  }
})

test('a temperature that learns gets the gradient of supCon of rows', ({ gpu }) =>
  checkOp(
    gpu,
    (z, T) => supCon(z, gpu.tensor(Int32Array.of(0, 1, 0, 1, 1), [5]), mul(T, T)),
    (z, [T = NaN]) => classLoss(3, T * T, [0, 1, 0, 1, 1])(z),
    [[5, 3], []],
  ))

test('misuse is refused in words', async ({ gpu }) => {
  const z = gpu.tensor([1, 2, 3, 4], [2, 2])
  await refusesAll([
    [
      'uniformity',
      () => call(uniformity, gpu.tensor([1, 2], [1, 2])),
      'uniformity: needs at least two rows, got [1, 2]',
    ],
    [
      'uniformity',
      () => call(uniformity, z, { t: 0 }),
      'uniformity: t must be a number above 0, got 0',
    ],
    [
      'uniformity',
      () => call(uniformity, z, { tau: 1 }),
      "uniformity: there is no option 'tau'; its options are t, normalized",
    ],
    ['alignment', () => call(alignment, z), 'alignment: z2 must be a tensor, got undefined'],
    [
      'alignment',
      () => call(alignment, z, gpu.tensor([1, 2], [1, 2])),
      'alignment: the two views must have one shape, got [2, 2] and [1, 2]',
    ],
    [
      'supCon',
      () => call(supCon, z, [0], 1),
      'supCon: needs one label per row, got [1] for [2, 2]',
    ],
    [
      'supCon',
      () => call(supCon, z, [0, 1], 0),
      'supCon: the temperature must be a positive number, got 0',
    ],
    [
      'supCon',
      () => call(supCon, z),
      'supCon: labels must be an array of whole numbers or a tensor, got undefined',
    ],
  ])
})

test.run()
