// Temperatures that are functions of the step, and tensors that learn, against float64.

import * as assert from 'uvu/assert'
import type { Gpu } from '../../../engine/gpu.ts'
import type { Scalar, Tensor, Variable } from '../../../kernels/op.ts'
import { exp } from '../../../kernels/elementwise/exp.ts'
import { clipLoss } from '../../../kernels/loss/clip-loss.ts'
import { dcl, dclw } from '../../../kernels/loss/dcl.ts'
import { infoNce } from '../../../kernels/loss/infonce.ts'
import { ntXent, ntXentOp } from '../../../kernels/loss/ntxent.ts'
import { supCon } from '../../../kernels/loss/supcon.ts'
import { type Temperature, atTemperature } from '../../../kernels/loss/temperature.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { needing } from '../../fixtures/needing.ts'
import { call, refusesAll } from '../../fixtures/misuse.ts'
import { dot, logSumExp, meanOf, unitRows } from '../../fixtures/similarities.ts'
import { variants } from '../../fixtures/variants.ts'

const [test, full] = quickAndFull(gpuSuite('temperatures'))
const onF16 = needing('shader-f16', test, full)

interface Case {
  readonly loss: (a: Tensor, b: Tensor, T: Temperature, normalized: boolean) => Tensor
  /** The loss of a row, from its similarities to all 2N rows. */
  readonly row: (s: number[], i: number, N: number) => number
}

const positive = (s: number[], i: number, N: number) => s[(i + N) % (2 * N)] ?? NaN
const labelOf = (n: number) => (n % 4) - 1 // -1 is a class by itself

/** Labels and queues live on, so that captured steps find the same ones. */
const kept = new Map<string, Variable>()
const keep = (gpu: Gpu, name: string, values: number[] | Int32Array, shape: number[]) => {
  const one = kept.get(name) ?? gpu.variable(values, shape)
  kept.set(name, one)
  return one
}
const labelsFor = ({ gpu, shape: [N = 0] }: Tensor) =>
  keep(
    gpu as Gpu,
    `labels ${N}`,
    Int32Array.from({ length: N }, (_, n) => labelOf(n)),
    [N],
  )
const queueFor = (gpu: Gpu, C: number) => keep(gpu, `queue ${C}`, queueRows(C), [70, C])

const cases: Record<string, Case> = {
  ntXent: {
    loss: (a, b, T, normalized) => ntXent(a, b, T, { normalized }),
    row: (s, i, N) => logSumExp(s.filter((_, j) => j !== i)) - positive(s, i, N),
  },
  dcl: {
    loss: (a, b, T, normalized) => dcl(a, b, T, { normalized }),
    row: (s, i, N) => logSumExp(s.filter((_, j) => j % N !== i % N)) - positive(s, i, N),
  },
  clipLoss: {
    loss: (a, b, T, normalized) => clipLoss(a, b, T, { normalized }),
    row: (s, i, N) => logSumExp(s.filter((_, j) => j < N !== i < N)) - positive(s, i, N),
  },
  supCon: {
    loss: (a, b, T, normalized) => supCon(a, b, labelsFor(a), T, { normalized }),
    row: (s, i, N) => {
      const own = labelOf(i % N)
      const isPositive = (j: number) =>
        j !== i && labelOf(j % N) === own && (own !== -1 || (i - j) % N === 0)
      return logSumExp(s.filter((_, j) => j !== i)) - meanOf(s.filter((_, j) => isPositive(j)))
    },
  },
}

const reference =
  (D: number, { row }: Case, normalized: boolean) =>
  (z1: number[], z2: number[], [T = NaN]: number[]): number[] => {
    const rows = unitRows([...z1, ...z2], D, normalized)
    const losses = rows.map((own, i) =>
      row(
        rows.map((other) => dot(own, other) / T),
        i,
        rows.length / 2,
      ),
    )
    return [meanOf(losses)]
  }

const infoNceReference =
  (C: number) =>
  (q: number[], k: number[], [T = NaN]: number[]): number[] => {
    const [queries, keys, queue] = [unitRows(q, C), unitRows(k, C), unitRows(queueRows(C), C, true)]
    const losses = queries.map((row, n) => {
      const s = [keys[n] ?? [], ...queue].map((key) => dot(row, key) / T)
      return logSumExp(s) - (s[0] ?? NaN)
    })
    return [meanOf(losses)]
  }
const queueRows = (C: number) =>
  unitRows(random(70 * C, 8), C)
    .flat()
    .map(Math.fround)

for (const [name, one] of Object.entries(cases))
  for (const [N, D, T, normalized] of [
    [2, 1, 0.5, false],
    [5, 7, 0.07, false],
    [6, 4, 1, true],
    [64, 5, 0.1, false],
    [65, 6, 0.2, false],
  ] as const)
    test(`${name} has a gradient of its temperature, N = ${N}, T = ${T}${normalized ? ', of unit rows' : ''}`, ({
      gpu,
    }) => {
      const shapes = [[N, D], [N, D], []]
      const values = [random(N * D, 1), random(N * D, 2), [Math.fround(T)]]
      return checkOp(
        gpu,
        (a, b, t) => one.loss(a, b, t, normalized),
        reference(D, one, normalized),
        shapes,
        { values, tolerance: 2e-4 }, // differences of 65 x 65 similarities over T
      )
    })

for (const [N, C, T] of [
  [1, 3, 0.5],
  [33, 16, 0.07],
  [65, 20, 0.2],
] as const)
  test(`infoNce has a gradient of its temperature, and none of its keys, N = ${N}`, ({ gpu }) => {
    const queue = queueFor(gpu, C)
    return checkOp(
      gpu,
      (q, k, t) => infoNce(q, k, queue, t),
      infoNceReference(C),
      [[N, C], [N, C], []],
      { differentiate: [true, false, true], values: [random(N * C, 1), random(N * C, 2), [T]] },
    )
  })

// f16 rounds the factors to 11 bits, over T.
const machines = [
  ['GPU kernels', 2e-4],
  ['f16x3', 2e-4],
  ['f16 without matrices', 2e-2],
  ['f16', 2e-2],
] as const
for (const [machine, tolerance] of machines)
  (machine === 'GPU kernels' ? test : onF16)(
    `a temperature learns on other machines: ${machine}`,
    async ({ gpu }) => {
      const [N, D, T] = [65, 16, 0.125]
      const values = [random(N * D, 1), random(N * D, 2), [T]]
      for (const [, apply] of variants(ntXentOp, [machine]).slice(1))
        await checkOp(
          gpu,
          (z1, z2, temperature) =>
            atTemperature({ name: 'ntXent', temperature, normalized: false }, [z1, z2], apply),
          reference(D, cases['ntXent'] as Case, false),
          [[N, D], [N, D], []],
          { values, tolerance },
        )
    },
  )

/** Every loss of two views, and infoNce. */
const all: Record<string, (a: Tensor, b: Tensor, T: Temperature) => Tensor> = {
  ...Object.fromEntries(
    Object.entries(cases).map(([name, { loss }]) => [
      name,
      (a: Tensor, b: Tensor, T: Temperature) => loss(a, b, T, false),
    ]),
  ),
  infoNce: (a, b, T) => infoNce(a, b, queueFor(a.gpu as Gpu, 6), T),
  dclw: (a, b, T) => dclw(a, b, T as Scalar),
}

for (const [name, loss] of Object.entries(all))
  test(`${name} takes a function of the step, replayed to the bits of the number`, async ({
    gpu,
  }) => {
    const [a, b] = [gpu.variable(random(54, 1), [9, 6]), gpu.variable(random(54, 2), [9, 6])]
    const state = { step: 0 }
    const T = (step: number) => 0.1 + 0.05 * step
    const step = gpu.capture(() => {
      const value = loss(a, b, () => T(state.step))
      const da = gpu.backward(value).of(a) as Tensor // it has one
      gpu.everyStep(() => state.step++)
      return [value, da]
    })
    for (let i = 0; i < 5; i++) {
      const found = await Promise.all(step.run().map(async (x) => [...(await gpu.read(x))]))
      const value = loss(a, b, T(i))
      const expected = [value, gpu.backward(value).of(a) as Tensor]
      assert.equal(found, await Promise.all(expected.map(async (x) => [...(await gpu.read(x))])))
    }
    assert.ok(step.replays > 0, step.reason ?? '')
  })

for (const [name, loss] of Object.entries(all).filter(([known]) => known !== 'dclw'))
  test(`${name} learns a temperature through exp, replayed`, async ({ gpu }) => {
    const [a, b] = [gpu.variable(random(54, 1), [9, 6]), gpu.variable(random(54, 2), [9, 6])]
    const logT = gpu.variable(Math.log(0.2), [])
    const step = gpu.capture(() => {
      const value = loss(a, b, exp(logT))
      return [value, gpu.backward(value).of(logT) as Tensor]
    })
    const read = async () => Promise.all(step.run().map((x) => gpu.item(x)))
    const first = await read()
    for (let i = 0; i < 4; i++) assert.equal(await read(), first)
    assert.ok(step.replays > 0, step.reason ?? '')
    close([first[0] ?? NaN], [await gpu.item(loss(a, b, 0.2))], 1e-6, 'value')
    const [more, less] = [Math.log(0.2) + 0.05, Math.log(0.2) - 0.05].map((x) => Math.exp(x))
    const ends = [more, less].map(async (T) => gpu.item(loss(a, b, T ?? NaN)))
    const [up, down] = await Promise.all(ends)
    close([first[1] ?? NaN], [((up ?? NaN) - (down ?? NaN)) / 0.1], 3e-3, 'gradient')
  })

test('a temperature that is not above 0 makes the loss NaN if it is a tensor', async ({ gpu }) => {
  const z = gpu.tensor(random(12, 1), [4, 3])
  for (const T of [-1, NaN])
    for (const loss of [
      ...Object.values(cases).map((one) => one.loss(z, z, gpu.tensor(T), false)),
      infoNce(z, z, z, gpu.tensor(T)),
    ])
      assert.ok(Number.isNaN(await gpu.item(loss)))
})

test('what is no temperature is refused', async ({ gpu }) => {
  const z = gpu.tensor(random(12, 1), [4, 3])
  const two = gpu.tensor([0.1, 0.2], [2])
  await refusesAll([
    [
      'two',
      () => call(ntXent, z, z, two),
      'ntXent: a temperature that is a tensor must be f32 [], got f32 [2]',
    ],
    [
      'a row',
      () => call(infoNce, z, z, z, two),
      'infoNce: a temperature that is a tensor must be f32 [], got f32 [2]',
    ],
    [
      'a schedule',
      () => call(clipLoss, z, z, (t: number) => t),
      'clipLoss: the temperature must be a number or a function of none, () => number, got a function',
    ],
    [
      'a function of nothing good',
      () => call(dcl, z, z, () => 0),
      'dcl: the temperature must be a positive number, got 0',
    ],
    [
      'no rows',
      () => call(supCon, z, 5, [0, 1, 2, 3], gpu.tensor(0.1)),
      'supCon: z2 must be a tensor, got 5; put values on the GPU with gpu.tensor(values, shape)',
    ],
    [
      'a tensor for dclw',
      () => call(dclw, z, z, gpu.tensor(0.1)),
      'dclw: the temperature must be a positive number, got a Tensor f32 []',
    ],
  ])
})

test.run()
