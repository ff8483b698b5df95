import * as assert from 'uvu/assert'
import type { Gpu } from '../../../engine/gpu.ts'
import type { Tensor } from '../../../kernels/op.ts'
import { clipLoss } from '../../../kernels/loss/clip-loss.ts'
import { dcl, dclw } from '../../../kernels/loss/dcl.ts'
import { contrast, ntXent } from '../../../kernels/loss/ntxent.ts'
import { sigLip, sigLipOp } from '../../../kernels/loss/siglip.ts'
import { supCon, supConOp } from '../../../kernels/loss/supcon.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'
import { dot, logSumExp, meanOf, unitRows } from '../../fixtures/similarities.ts'
import { variants } from '../../fixtures/variants.ts'

const [test, full] = quickAndFull(gpuSuite('relatives of NT-Xent'))

/** Registers what a variant claims: a GPU's kernels are those of ntXent but for what each sum is
 *  made of. */
const by = (variant: string) => (variant === '' ? test : full)
const sizes = [
  [2, 1, 0.5],
  [3, 7, 0.1],
  [33, 16, 0.2],
  [64, 5, 0.05],
  [130, 20, 0.5],
] as const

/** Mean over the rows of both views of a loss of (similarities to all rows, own number). */
const overRows =
  (D: number, T: number, loss: (s: number[], i: number, N: number) => number) =>
  (z1: number[], z2: number[]): number[] => {
    const rows = unitRows([...z1, ...z2], D)
    const N = rows.length / 2
    return [
      meanOf(
        rows.map((row, i) =>
          loss(
            rows.map((other) => dot(row, other) / T),
            i,
            N,
          ),
        ),
      ),
    ]
  }

const positive = (s: number[], i: number, N: number) => s[(i + N) % (2 * N)] ?? NaN
const decoupled = (s: number[], i: number, N: number) =>
  logSumExp(s.filter((_, j) => j % N !== i % N)) - positive(s, i, N)
const acrossTowers = (s: number[], i: number, N: number) =>
  logSumExp(s.filter((_, j) => j < N !== i < N)) - positive(s, i, N)

for (const [N, D, temperature] of sizes) {
  const shapes = [
    [N, D],
    [N, D],
  ]
  const attrs = { temperature, normalized: false }
  const at = `N = ${N}, D = ${D}, T = ${temperature}`
  for (const [variant, apply] of variants(contrast('dcl', { decoupled: true })))
    by(variant)(`dcl leaves the positive out of the sum, ${at}${variant}`, ({ gpu }) =>
      checkOp(gpu, (a, b) => apply(attrs, a, b), overRows(D, temperature, decoupled), shapes),
    )
  for (const [variant, apply] of variants(contrast('clipLoss', { across: true })))
    by(variant)(`clipLoss compares across towers only, ${at}${variant}`, ({ gpu }) =>
      checkOp(gpu, (a, b) => apply(attrs, a, b), overRows(D, temperature, acrossTowers), shapes),
    )
  const labels = random(N, 7).map((v) => Math.floor((v + 1) * 1.5) - 1) // -1, 0 or 1
  const supervised = (s: number[], i: number) => {
    const positives = s.filter(
      (_, j) =>
        j !== i && labels[j % N] === labels[i % N] && (labels[i % N] !== -1 || (i - j) % N === 0),
    )
    return logSumExp(s.filter((_, j) => j !== i)) - meanOf(positives)
  }
  for (const [variant, apply] of variants(supConOp))
    by(variant)(`supCon averages over its class, ${at}${variant}`, ({ gpu }) => {
      const classes = gpu.tensor(Int32Array.from(labels), [N])
      return checkOp(
        gpu,
        (a, b) => apply(attrs, a, b, classes),
        overRows(D, temperature, supervised),
        shapes,
      )
    })
  for (const [variant, apply] of variants(sigLipOp))
    by(variant)(`sigLip classifies every pair, ${at}${variant}`, ({ gpu }) =>
      checkOp(gpu, (a, b, t, c) => apply({ normalized: false }, a, b, t, c), pairwise(D), [
        ...shapes,
        [],
        [],
      ]),
    )
}

/** SigLIP's Algorithm 1, written out. */
const pairwise =
  (D: number) =>
  (z1: number[], z2: number[], [logScale = NaN]: number[], [bias = NaN]: number[]): number[] => {
    const [a, b] = [unitRows(z1, D), unitRows(z2, D)]
    const losses = a.flatMap((row, n) =>
      b.map((other, m) => {
        const v = (n === m ? -1 : 1) * (Math.exp(logScale) * dot(row, other) + bias)
        return Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)))
      }),
    )
    return [losses.reduce((x, y) => x + y, 0) / a.length]
  }

test('dclw weighs positives by 2 - N softmax, a constant to the gradient', async ({ gpu }) => {
  for (const [N, D, T, sigma] of [
    [3, 4, 0.1, 0.5],
    [70, 12, 0.2, 0.9],
  ] as const) {
    const [x1, x2] = [random(N * D, 1), random(N * D, 2)]
    const cosines = unitRows(x1, D).map((row, n) => dot(row, unitRows(x2, D)[n] ?? []))
    const whole = logSumExp(cosines.map((c) => c / sigma))
    const w = cosines.map((c) => 2 - N * Math.exp(c / sigma - whole)) // from the values, not from what is differentiated
    const weighted = (s: number[], i: number) =>
      logSumExp(s.filter((_, j) => j % N !== i % N)) - (w[i % N] ?? NaN) * positive(s, i, N)
    await checkOp(gpu, (a, b) => dclw(a, b, T, { sigma }), overRows(D, T, weighted), [
      [N, D],
      [N, D],
    ])
  }
})

test('dclw differentiates its weights where that is asked for', async ({ gpu }) => {
  for (const [N, D, T, sigma] of [
    [1, 3, 0.5, 0.5],
    [3, 4, 0.1, 0.5],
    [70, 12, 0.2, 0.9],
  ] as const) {
    const weighted = (x1: number[], x2: number[]) => {
      const b = unitRows(x2, D)
      const cosines = unitRows(x1, D).map((row, n) => dot(row, b[n] ?? []))
      const whole = logSumExp(cosines.map((c) => c / sigma))
      const w = cosines.map((c) => 2 - N * Math.exp(c / sigma - whole))
      const loss = (s: number[], i: number) =>
        logSumExp(s.filter((_, j) => j % N !== i % N)) - (w[i % N] ?? NaN) * positive(s, i, N)
      return N === 1 ? [0] : overRows(D, T, loss)(x1, x2)
    }
    const apply = (a: Tensor, b: Tensor) => dclw(a, b, T, { sigma, detachWeights: false })
    await checkOp(gpu, apply, weighted, [
      [N, D],
      [N, D],
    ])
  }
})

/** Closed-form inputs, whose losses were computed in float64 by another program. */
function given(gpu: Gpu) {
  const [N, D] = [4, 3]
  const both = [0, 1].map((view) =>
    Array.from({ length: N * D }, (_, e) => {
      const [i, d] = [Math.floor(e / D), e % D]
      return view === 0
        ? Math.sin(0.7 * i + 1.3 * d + 0.1)
        : Math.sin(0.7 * i + 1.3 * d + 0.4) + 0.05 * Math.cos(2.1 * i * d)
    }),
  )
  return both.map((values) => gpu.tensor(values, [N, D]))
}

test('agree with values computed elsewhere', async ({ gpu }) => {
  const [a, b] = given(gpu)
  if (!a || !b) throw new Error('no views')
  const [t, bias] = [gpu.tensor([Math.log(10)], []), gpu.tensor([-10], [])]
  for (const [what, loss, expected] of [
    ['NT-Xent', ntXent(a, b, 0.1), 0.6355124024],
    ['DCL', dcl(a, b, 0.1), -0.340217997],
    ['DCLW', dclw(a, b, 0.1), -0.3332084503],
    ['SupCon', supCon(a, b, [0, 1, 0, 1], 0.1), 5.2932327811],
    ['SigLIP', sigLip(a, b, t, bias), 1.2856653896],
  ] as const)
    close(await gpu.read(loss), [expected], 2e-6, what)
})

test('have their closed forms when all rows are equal', async ({ gpu }) => {
  for (const N of [2, 50]) {
    const values = Array.from({ length: N * 4 }, (_, i) => [0.3, -0.2, 0.9, 0.1][i % 4] ?? 0)
    const z = gpu.tensor(values, [N, 4])
    const zero = gpu.tensor([0], [])
    const labels = Array.from({ length: N }, (_, n) => n % 2)
    close(await gpu.read(dcl(z, z, 0.3)), [Math.log(2 * N - 2)], 1e-6, `dcl, N = ${N}`)
    close(await gpu.read(dclw(z, z, 0.3)), [Math.log(2 * N - 2)], 1e-6, `dclw, N = ${N}`)
    close(await gpu.read(clipLoss(z, z, 0.3)), [Math.log(N)], 1e-6, `clipLoss, N = ${N}`)
    close(
      await gpu.read(supCon(z, z, labels, 0.3)),
      [Math.log(2 * N - 1)],
      1e-6,
      `supCon, N = ${N}`,
    )
    const even = sigLip(z, z, zero, gpu.tensor([-1], [])) // t = 1 and b = -1: every logit is 0
    close(await gpu.read(even), [N * Math.log(2)], 1e-6, `sigLip, N = ${N}`)
  }
})

test('supCon with all labels different is NT-Xent', async ({ gpu }) => {
  const [a, b] = [gpu.tensor(random(40, 1), [10, 4]), gpu.tensor(random(40, 2), [10, 4])]
  const labels = Array.from({ length: 10 }, (_, n) => 5 * n - 20)
  const losses = [supCon(a, b, labels, 0.2), ntXent(a, b, 0.2)]
  const [x, y] = await Promise.all(losses.map((loss) => gpu.read(loss)))
  close(x ?? [], y ?? [], 1e-6, 'loss')
})

test('a lone pair costs nothing', async ({ gpu }) => {
  const [a, b] = [gpu.tensor([1, 2], [1, 2]), gpu.tensor([2, 1], [1, 2])]
  for (const loss of [
    dcl(a, b, 0.5),
    dclw(a, b, 0.5),
    clipLoss(a, b, 0.5),
    supCon(a, b, [3], 0.5),
  ]) {
    close(await gpu.read(loss), [0], 1e-6, 'loss')
    close(await gpu.read(gpu.backward(loss).of(a) ?? b), [0, 0], 1e-6, 'gradient')
  }
})

test('NaN, infinity and a label that is not whole make the loss NaN', async ({ gpu }) => {
  const fine = gpu.tensor(random(12, 3), [4, 3])
  const [zero] = [gpu.tensor([0], [])]
  for (const bad of [NaN, Infinity, -Infinity]) {
    const z = gpu.tensor([...random(11, 4), bad], [4, 3])
    for (const loss of [
      dcl(z, fine, 1),
      dclw(fine, z, 1),
      clipLoss(z, fine, 1),
      supCon(z, fine, [0, 0, 1, 1], 1),
    ])
      assert.ok(Number.isNaN((await gpu.read(loss))[0]))
    assert.ok(Number.isNaN((await gpu.read(sigLip(z, fine, zero, zero)))[0]))
  }
  const labels = gpu.tensor([0, 1.5, 1, 0], [4])
  assert.ok(Number.isNaN((await gpu.read(supCon(fine, fine, labels, 1)))[0]))
})

test('refuse what they cannot mean', ({ gpu }) => {
  const z = gpu.tensor([1, 2, 3, 4], [2, 2])
  const one = gpu.tensor([1, 2], [1, 2])
  refuses(() => dcl(z, one, 1), 'dcl: the two views must have one shape, got [2, 2] and [1, 2]')
  refuses(() => clipLoss(z, z, -1), 'clipLoss: the temperature must be a positive number, got -1')
  refuses(() => dclw(z, z, 1, { sigma: 0 }), 'dclw: sigma must be a positive number, got 0')
  refuses(
    () => dclw(z, z, 1, { sigma: 1e-39 }),
    'dclw: sigma must be at least 2^-126 (about 1.2e-38), as f32 has no reciprocal of less, got 1e-39',
  )
  refuses(
    () => dclw(z, z, 1e-30, { sigma: 1e30 }),
    'dclw: the temperature over sigma must lie from 2^-126 to 2^126, got 1e-30 over 1e+30',
  )
  refuses(() => supCon(z, z, [1], 1), 'supCon: needs one label per image, got [1] for [2, 2]')
  for (const label of [1.5, NaN, 2 ** 31])
    refuses(
      () => supCon(z, z, [0, label], 1),
      `supCon: labels must be whole numbers between -2^31 and 2^31, got ${label} at 1`,
    )
  refuses(
    () => sigLip(z, z, one, one),
    'sigLip: the log scale and the bias must be scalars [], got [1, 2]',
  )
})

test.run()
