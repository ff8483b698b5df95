// Tests the temperature of methods: a number, a function of the step, a variable that learns.

import * as assert from 'uvu/assert'
import type { Variable } from '../../kernels/op.ts'
import { dcl } from '../../kernels/loss/dcl.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { contrastiveLosses } from '../../methods/contrastive-losses.ts'
import { simclr } from '../../methods/simclr.ts'
import type { MethodTemperature } from '../../methods/temperature.ts'
import { parametersOf } from '../../models/tower.ts'
import { S, batch, makers } from '../fixtures/chunked-methods.ts'
import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'
import { network } from '../fixtures/small-network.ts'

const test = gpuSuite('temperature of methods')
const N = 6

/** SimCLR on a small network, by the interface of the other methods. */
const simclrOf: (typeof makers)[string] = (
  gpu,
  { temperature = 0.2, capture = true, chunk = null },
) => {
  const { encoder, head } = network(gpu, false)
  const learned = typeof temperature === 'object' ? { temperature } : {}
  const method = simclr(gpu, {
    ...{ encoder, head, temperature, capture, chunk, batchNorm: 'per-view', schedule: 0.05 },
    optimizer: new Sgd({ ...parametersOf({ encoder, head }), ...learned }, { momentum: 0.9 }),
    views: cifarRecipe(S),
  })
  return { step: method.step, captured: method.captured, models: [], kept: [], bytes: () => 0 }
}
const { AMDIM: _, ...others } = makers
const all = { SimCLR: simclrOf, ...others }

/** The losses of five steps. */
async function losses(
  gpu: Gpu,
  make: (typeof makers)[string],
  temperature: MethodTemperature,
  capture = true,
) {
  const method = make(gpu, { normed: false, temperature, capture, chunk: null })
  const told: number[] = []
  for (let s = 0; s < 5; s++) told.push(...(await gpu.read(method.step(batch(N, s), N))))
  const { replays } = method.captured
  method.captured.release()
  return { told, replays }
}

for (const [name, make] of Object.entries(all))
  test(`${name}: a function of the step gives what numbers do, replayed or not`, async ({
    gpu,
  }) => {
    const number = await losses(gpu, make, 0.3)
    const same = await losses(gpu, make, () => 0.3)
    assert.equal(same.told, number.told)
    assert.ok(same.replays >= 2, `${same.replays}`)
    const falling = (t: number) => 0.5 / (1 + t)
    const replayed = await losses(gpu, make, falling)
    assert.equal(replayed.told, (await losses(gpu, make, falling, false)).told)
    assert.not.equal(replayed.told, number.told)
    assert.is(
      await losses(gpu, make, (t) => 0.3 - t / 10).catch((error: Error) => error.message),
      `${METHOD[name] ?? name}: temperature must be a number of at least 2^-126 (about 1.2e-38), got 0`,
    )
  })

const METHOD: Readonly<Record<string, string>> = {
  SimCLR: 'simclr',
  MoCo: 'moco',
  'symmetric MoCo': 'moco',
  'MoCo v3': 'mocoV3',
  'end-to-end': 'endToEnd',
  'end-to-end with one encoder': 'endToEnd',
  'a memory bank with InfoNCE': 'memoryBank',
  'a memory bank with NCE': 'memoryBank',
}

const learning = Object.entries(all).filter(([name]) => name !== 'a memory bank with NCE')
for (const [name, make] of learning)
  test(`${name}: a variable begins as its number, and learns`, async ({ gpu }) => {
    const T: Variable = gpu.variable([1], [])
    const { told, replays } = await losses(gpu, make, T)
    const [first = NaN] = (await losses(gpu, make, 1)).told
    assert.ok(Math.abs((told[0] ?? NaN) - first) < 1e-5 * Math.abs(first), `${told[0]} ${first}`)
    assert.ok(replays >= 2, `${replays}`)
    const learned = await gpu.item(T)
    assert.ok(Math.abs(learned - 1) > 1e-4, `${learned}`)
  })

test('a temperature that cannot learn is refused in words', ({ gpu }) => {
  const { encoder, head } = network(gpu, false)
  const T = gpu.variable([0.3], [])
  const own = new Sgd(parametersOf({ encoder, head }))
  const given = (temperature: Variable, more: object = { optimizer: own }) =>
    simclr(gpu, {
      optimizer: own,
      ...{ encoder, head, temperature, batchNorm: 'per-view', schedule: 0.05 },
      views: cifarRecipe(S),
      ...more,
    })
  refuses(
    () => given(T),
    `simclr: the optimizer lacks 1 of ${Object.keys(parametersOf({ encoder, head })).length + 1} parameters, temperature; make it of parametersOf({ encoder, head }), or name what is not to be trained, as in frozen: [encoder]`,
  )
  refuses(
    () => given(gpu.variable([0.3, 0.2], [2])),
    'simclr: temperature must be a number above 0, a function of the step, t => number, or a variable [], got a Variable f32 [2]',
  )
  const optimizer = new Sgd({ ...parametersOf({ encoder, head }), T })
  const { step } = given(T, { optimizer, loss: contrastiveLosses.dclw, chunk: null })
  refuses(
    () => step(batch(N)),
    'dclw: takes no temperature that learns; give a number or a function',
  )
  const mine = given(T, {
    optimizer,
    chunk: null,
    loss: {
      of: (a: never, b: never, { temperature }: { temperature: never }) => dcl(a, b, temperature),
    },
  })
  mine.step(batch(N))
  gpu.free(mine)
  refuses(() => gpu.write(T, [1]), 'a variable [] was used after gpu.free gave its memory back')
})

test.run()
