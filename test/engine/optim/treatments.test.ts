// What an optimizer does differently for some parameters, against PyTorch's param_groups in
// float64.

import * as assert from 'uvu/assert'
import { type Tensor, type Variable, sizeOf } from '../../../kernels/op.ts'
import { restore, snapshot } from '../../../engine/checkpoint.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { Gradients } from '../../../engine/optim/gradients.ts'
import { LossScaler } from '../../../engine/optim/loss-scaler.ts'
import { MovingAverage } from '../../../engine/optim/moving-average.ts'
import {
  type FlatOptimizer,
  type Named,
  Adam,
  AdamW,
  Lars,
  Sgd,
} from '../../../engine/optim/optimizer.ts'
import type { LarsTreatment, Treatment } from '../../../engine/optim/treatments.ts'
import { simclr } from '../../../methods/simclr.ts'
import { parametersOf } from '../../../models/parts.ts'
import { close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { call, make, refusesAll } from '../../fixtures/misuse.ts'
import { optimizerCases, readNamed, trainOptimizer } from '../../fixtures/optimizer-cases.ts'
import type { Group } from '../../fixtures/reference-optimizers.ts'
import { network } from '../../fixtures/small-network.ts'

const test = gpuSuite('treatments')

const shapes = {
  'body.weight': [5, 13],
  'body.bias': [3],
  'head.weight': [8, 16],
  'head.bias': [2],
  'frozen.weight': [7, 10],
}
const STEPS = 30
const RATE = 0.05
const DECAY = 0.1

/** A slow body, no decay of biases, more of the head's weight, and a frozen part. */
const treatment = (name: string): Treatment => ({
  ...(name.endsWith('.bias') && { weightDecay: 0 }),
  ...(name === 'head.weight' && { weightDecay: 0.3 }),
  ...(name.startsWith('body.') && { lr: 0.1 }),
  ...(name.startsWith('frozen.') && { frozen: true }),
})
/** LARS has its biases without decay and trust ratio anyway, and here one weight. */
const larsTreatment = (name: string): LarsTreatment => ({
  ...treatment(name),
  ...(name === 'head.weight' && { adapted: false }),
})

type Make = (parameters: Named) => FlatOptimizer
const treat = treatment

const valuesOf = (i: number, shape: readonly number[]) => random(sizeOf(shape), i + 1)
const parameters = (gpu: Gpu): Record<string, Variable> =>
  Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => [
      name,
      gpu.variable(valuesOf(i, shape), shape),
    ]),
  )
const gradientsAt = (t: number) =>
  Object.values(shapes).map((shape, i) => random(sizeOf(shape), 100 * (t + 1) + i))

/** Trains for `steps` from the optimizer's t, by captured steps or by single ones. */
const train = (gpu: Gpu, optimizer: FlatOptimizer, steps: number, replay = true) =>
  trainOptimizer(gpu, optimizer, {
    ...{ steps, gradientsAt, replay },
    lr: () => RATE * (1 + optimizer.t / STEPS),
  })

for (const [name, { make: makeCase, reference }] of Object.entries(optimizerCases)) {
  const own = name.startsWith('Lars') ? larsTreatment : treatment
  const makeOptimizer = (gpu: Gpu) => makeCase(parameters(gpu), { weightDecay: DECAY, treat: own })

  test(`${name} follows param_groups for ${STEPS} steps, captured and saved on the way`, async ({
    gpu,
  }) => {
    const optimizer = makeOptimizer(gpu)
    const captured = await train(gpu, optimizer, 20)
    assert.ok(captured.replays > 10, captured.reason ?? '')
    const other = makeOptimizer(gpu) // goes on from what the first one saved
    restore(gpu, other.parameters, await snapshot(gpu, optimizer.parameters))
    restore(gpu, other.state, await snapshot(gpu, optimizer.state))
    other.t = optimizer.t
    await train(gpu, other, STEPS - 20, false)

    const groups: Group[] = Object.entries(shapes).map(([parameter, shape], i) => {
      const { weightDecay: decay, ...more } = treatment(parameter)
      const isExcluded = name.startsWith('Lars') && shape.length === 1
      return {
        w: valuesOf(i, shape),
        state: {},
        weightDecay: decay ?? (isExcluded ? 0 : DECAY),
        lr: 0,
        adapted: !isExcluded && larsTreatment(parameter).adapted !== false,
        frozen: more.frozen ?? false,
      }
    })
    for (let t = 0; t < STEPS; t++) {
      const rate = RATE * (1 + (t + 1) / STEPS) // the optimizer has counted the step
      const at = groups.map((group, i) => ({
        ...group,
        lr: rate * (treatment(Object.keys(shapes)[i] ?? '').lr ?? 1),
      }))
      reference(at, gradientsAt(t), t + 1)
    }
    const found = await readNamed(gpu, other.parameters)
    for (const [i, { w }] of groups.entries()) close(found[i] ?? [], w, 2e-5, `parameter ${i}`)
    assert.equal(found[4], valuesOf(4, shapes['frozen.weight'])) // to the bit
  })
}

test('one treatment of all is the optimizer itself, to the bit and in as many dispatches', async ({
  gpu,
}) => {
  for (const [plain, treated] of [
    [
      (p: Named) => new AdamW(p, { weightDecay: 0.1 }),
      (p: Named) => new AdamW(p, { weightDecay: 0, treat: () => ({ weightDecay: 0.1, lr: 1 }) }),
    ],
    [
      (p: Named) => new Lars(p, { weightDecay: 0.1, exclude: (n) => n === 'body.weight' }),
      (p: Named) =>
        new Lars(p, {
          weightDecay: 0.1,
          exclude: () => false,
          treat: (n) => (n === 'body.weight' ? { weightDecay: 0, adapted: false } : undefined),
        }),
    ],
  ] as [Make, Make][]) {
    const [a, b] = [plain(parameters(gpu)), treated(parameters(gpu))]
    const counts: number[] = []
    for (const optimizer of [a, b]) {
      const before = gpu.stats().dispatches
      await train(gpu, optimizer, 3)
      counts.push(gpu.stats().dispatches - before)
    }
    assert.is(counts[0], counts[1])
    assert.equal(await readNamed(gpu, a.parameters), await readNamed(gpu, b.parameters))
  }
})

test('an average follows frozen parameters too, and a scaler changes no bit', async ({ gpu }) => {
  const results = []
  for (const scaler of [undefined, new LossScaler(gpu, { scale: 1024 })]) {
    const optimizer = new AdamW(parameters(gpu), { treat })
    const followers = parameters(gpu)
    const frozen = followers['frozen.weight'] as Variable // made above
    gpu.write(frozen, new Float32Array(70))
    const average = new MovingAverage(optimizer, followers)
    for (let t = 0; t < 3; t++)
      gpu.step(() => {
        const pairs = Object.values(optimizer.parameters).map((variable, i): [Tensor, Tensor] => {
          const values = gradientsAt(t)[i]?.map((g) => g * (scaler ? 1024 : 1)) ?? []
          if (scaler && i === 4) values[0] = NaN // the frozen one's is not looked at
          return [variable, gpu.tensor(values, variable.shape)]
        })
        optimizer.step(new Gradients(pairs), 0.1, scaler)
        average.update(0.5)
      })
    const half = valuesOf(4, shapes['frozen.weight']).map((v) => Math.fround(v * 0.875))
    close(await gpu.read(frozen), half, 1e-6, 'follower')
    results.push([await readNamed(gpu, optimizer.parameters), await readNamed(gpu, followers)])
  }
  assert.equal(results[1], results[0])
})

test('a method computes no gradient of what is frozen', async ({ gpu }) => {
  const tower = network(gpu, true)
  const before = await readNamed(gpu, tower.encoder.parameters)
  const inner = new AdamW(parametersOf({ f: tower.encoder, g: tower.head }), {
    treat: (name) => ({ frozen: name.startsWith('f.') }),
  })
  const had: number[] = []
  const step: FlatOptimizer['step'] = (gradients, lr, scaler) => {
    had.push(gradients.size)
    inner.step(gradients, lr, scaler)
  }
  const { step: train1, captured } = simclr(gpu, {
    ...tower,
    optimizer: Object.create(inner, { step: { value: step } }) as FlatOptimizer,
    schedule: 0.1,
    temperature: 0.5,
    batchNorm: 'joint',
    views: {},
    frozen: tower.encoder, // may be said twice
  })
  const pixels = Uint8Array.from({ length: 4 * 8 * 8 * 3 }, (_, i) => (i * 37) % 256)
  for (let i = 0; i < 4; i++) train1({ pixels, shape: [4, 8, 8, 3] })
  assert.ok(captured.replays > 0)
  assert.ok(had.every((size) => size === Object.keys(tower.head.parameters).length))
  assert.equal(await readNamed(gpu, tower.encoder.parameters), before)
})

test('what is no treatment is refused', async ({ gpu }) => {
  const w = gpu.variable([1], [1])
  const treating =
    (returned: unknown, of: unknown = AdamW) =>
    () =>
      make(of, { w }, { treat: () => returned })
  const known = 'weightDecay, lr, frozen'
  await refusesAll([
    [
      'no function',
      () => make(Sgd, { w }, { treat: {} }),
      'Sgd: treat must be a function, got an empty object',
    ],
    [
      "torch's name",
      treating({ weight_decay: 0 }),
      `AdamW: treat('w'): there is no option 'weight_decay'; did you mean 'weightDecay'? Its options are ${known}`,
    ],
    [
      'the trust ratio of Adam',
      treating({ adapted: false }, Adam),
      `Adam: treat('w'): there is no option 'adapted'; its options are ${known}`,
    ],
    [
      'a rate of 0',
      treating({ lr: 0 }, Lars),
      "Lars: treat('w'): lr must be a factor of the learning rate from 1.2e-38 to 3.4e38 (frozen: true stops a parameter), got 0",
    ],
    [
      'a word',
      treating({ frozen: 'yes' }),
      "AdamW: treat('w'): frozen must be true or false, got 'yes'",
    ],
    [
      'nothing',
      treating(null),
      `AdamW: what treat returns for w must be an object with ${known}, got null`,
    ],
    [
      'a promise',
      treating(Promise.resolve({})),
      `AdamW: what treat returns for w must be an object with ${known}, got a promise; await it`,
    ],
    [
      'a number',
      treating(0.1),
      `AdamW: treat('w'): options must be an object with ${known}, got 0.1`,
    ],
    [
      'everything frozen',
      treating({ frozen: true }),
      'optimizer: every parameter is frozen; there is nothing to train',
    ],
    [
      'no gradient but of what is frozen',
      () => {
        const v = gpu.variable([1], [1])
        const optimizer = new Sgd({ w, v }, { treat: (name) => ({ frozen: name === 'w' }) })
        call(optimizer.step.bind(optimizer), new Gradients([[w, gpu.tensor([1], [1])]]), 0.1)
      },
      'optimizer: none of 1 parameters received a gradient; was the loss computed from them, outside noGrad?',
    ],
  ])
})

test.run()
