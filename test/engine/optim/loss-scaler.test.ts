import * as assert from 'uvu/assert'
import type { Tensor, Variable } from '../../../kernels/op.ts'
import { add } from '../../../kernels/elementwise/add.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import { sum } from '../../../kernels/reduce/sum.ts'
import { snapshot, restore } from '../../../engine/checkpoint.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { Gradients } from '../../../engine/optim/gradients.ts'
import { LossScaler } from '../../../engine/optim/loss-scaler.ts'
import { type Optimizer, Adam, Lars, Sgd } from '../../../engine/optim/optimizer.ts'
import { close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { optimizerCases } from '../../fixtures/optimizer-cases.ts'
import { type Group, ScalerReference } from '../../fixtures/reference-optimizers.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('loss scaler')

const optimizers: Record<string, (parameters: Record<string, Variable>) => Optimizer> = {
  Sgd: (parameters) => new Sgd(parameters, { momentum: 0.9, weightDecay: 0.1 }),
  Adam: (parameters) => new Adam(parameters, { weightDecay: 0.1 }),
  Lars: (parameters) => new Lars(parameters, { weightDecay: 0.1 }),
}

const parametersOf = (gpu: Gpu) => ({
  a: gpu.variable(random(150, 1), [10, 15]),
  b: gpu.variable(random(5, 2), [5]),
})

/** Everything that a step may change. */
const all = (gpu: Gpu, parameters: Record<string, Variable>, { state }: Optimizer) =>
  Promise.all([...Object.values(parameters), ...Object.values(state)].map((v) => gpu.read(v)))

const scaleOf = async (gpu: Gpu, { scale }: LossScaler) => (await gpu.read(scale))[0]

for (const [name, make] of Object.entries(optimizers)) {
  test(`${name} takes the same steps with scaled gradients, to the bit`, async ({ gpu }) => {
    const results = []
    for (const scaler of [undefined, new LossScaler(gpu, { scale: 1024 })]) {
      const parameters = parametersOf(gpu)
      const optimizer = make(parameters)
      for (let step = 0; step < 3; step++)
        gpu.step(() => {
          const [x, y] = [
            gpu.tensor(random(150, 5 + step), [10, 15]),
            gpu.tensor(random(5, 9), [5]),
          ]
          const loss = sum(mul(sum(mul(parameters.a, x)), mul(parameters.b, y)))
          optimizer.step(gpu.backward(loss, scaler?.scale), 0.1, scaler)
        })
      results.push(await all(gpu, parameters, optimizer))
    }
    assert.equal(results[1], results[0])
  })

  test(`${name} skips a step with a gradient that is not finite`, async ({ gpu }) => {
    const parameters = parametersOf(gpu)
    const optimizer = make(parameters)
    const scaler = new LossScaler(gpu, { scale: 64 })
    const give = (a: number[]) =>
      gpu.step(() => {
        const gradients = new Gradients([
          [parameters.a, gpu.tensor(a, [10, 15])],
          [parameters.b, gpu.tensor(random(5, 4), [5])],
        ])
        optimizer.step(gradients, 0.1, scaler)
      })
    give(random(150, 3))
    const before = await all(gpu, parameters, optimizer)
    for (const [i, bad] of [NaN, Infinity, -Infinity].entries()) {
      give(random(150, 3).map((v, at) => (at === 60 * i + 3 ? bad : v)))
      assert.equal(await all(gpu, parameters, optimizer), before, String(bad))
      assert.is(await scaleOf(gpu, scaler), 32 / 2 ** i)
    }
    give(random(150, 3))
    const after = await all(gpu, parameters, optimizer)
    assert.ok(after.flatMap((v) => [...v]).every(Number.isFinite))
    assert.not.equal(after[0], before[0])
  })
}

for (const [name, make] of Object.entries(optimizers))
  test(`${name}: replayed steps are those run one by one, to the bit, and skip the same overflow`, async ({
    gpu,
  }) => {
    const results = []
    for (const replay of [false, true]) {
      const parameters = parametersOf(gpu)
      const optimizer = make(parameters)
      const scaler = new LossScaler(gpu, { scale: 2 ** 16, interval: 3 })
      const schedule = (t: number) => 0.1 / (1 + t)
      const captured = gpu.capture(
        (x: Tensor) => {
          const loss = mul(sum(mul(parameters.a, x)), sum(parameters.b))
          optimizer.step(gpu.backward(loss, scaler.scale), () => schedule(optimizer.t), scaler)
          return loss
        },
        { replay },
      )
      const states = []
      for (let step = 0; step < 8; step++) {
        // 1e38 times the scale is infinite, in the gradient of a; the loss itself is not.
        const values = random(150, 5 + step).map((v, i) => (step === 5 && i === 77 ? 1e38 : v))
        const [loss = NaN] = await gpu.read(captured.run({ values, shape: [10, 15] }))
        const scale = await scaleOf(gpu, scaler)
        states.push([loss, scale, optimizer.t, await all(gpu, parameters, optimizer)])
      }
      assert.is(captured.replays, replay ? 6 : 0, `${captured.reason}`)
      const scales = states.map(([, scale]) => scale)
      assert.equal(
        scales.map((scale) => Math.log2(Number(scale))),
        [16, 16, 17, 17, 17, 16, 16, 16], // doubled after three good steps; the sixth step is one before it would again
      )
      assert.equal(states[5]?.[3], states[4]?.[3]) // skipped
      assert.not.equal(states[6]?.[3], states[5]?.[3])
      results.push(states)
      captured.release()
    }
    assert.equal(results[1], results[0])
  })

test('the scale doubles after the interval of good steps, counted anew after a bad one', async ({
  gpu,
}) => {
  const w = gpu.variable([1], [1])
  const optimizer = new Sgd({ w })
  const scaler = new LossScaler(gpu, { scale: 8, interval: 3 })
  const seen = []
  for (const g of [1, 1, NaN, 1, 1, 1, 1, 1, 1, NaN, NaN, NaN, NaN, NaN, NaN, 1]) {
    gpu.step(() => optimizer.step(new Gradients([[w, gpu.tensor([g], [1])]]), 0.1, scaler))
    seen.push(await scaleOf(gpu, scaler))
  }
  assert.equal(seen, [8, 8, 4, 4, 4, 8, 8, 8, 16, 8, 4, 2, 1, 1, 1, 1])
})

test('a parameter without a gradient does not make a step bad', async ({ gpu }) => {
  const [v, w] = [gpu.variable([1], [1]), gpu.variable([1], [1])]
  const optimizer = new Sgd({ v, w })
  const scaler = new LossScaler(gpu, { scale: 2 })
  const give = (...gradients: [Variable, number][]) =>
    gpu.step(() =>
      optimizer.step(
        new Gradients(gradients.map(([p, g]) => [p, gpu.tensor([g], [1])])),
        1,
        scaler,
      ),
    )
  give([v, NaN], [w, 1])
  assert.is(await scaleOf(gpu, scaler), 1)
  give([w, 0.25]) // v's old gradient lies in the buffer still
  close(await gpu.read(w), [0.75], 0, 'w')
  close(await gpu.read(v), [1], 0, 'v')
})

test('its state is saved and restored', async ({ gpu }) => {
  const w = gpu.variable([1], [1])
  const optimizer = new Sgd({ w })
  const scaler = new LossScaler(gpu, { scale: 8, interval: 3 })
  const give = (by: LossScaler) =>
    gpu.step(() => optimizer.step(new Gradients([[w, gpu.tensor([1], [1])]]), 0.1, by))
  give(scaler)
  give(scaler)
  const restored = new LossScaler(gpu, { interval: 3 })
  restore(gpu, restored.state, await snapshot(gpu, scaler.state))
  give(restored)
  assert.is(await scaleOf(gpu, restored), 16)
})

test('refuses scales and intervals that make no sense', ({ gpu }) => {
  refuses(
    () => new LossScaler(gpu, { scale: 0.5 }),
    'LossScaler: scale must be from 1 to 16777216, got 0.5',
  )
  refuses(
    () => new LossScaler(gpu, { interval: 0 }),
    'LossScaler: interval must be a whole number of at least 1, got 0',
  )
})

test('optimizers that share a scaler divide by one scale, and move it once', async ({ gpu }) => {
  const one = (value: number) => gpu.variable([value], [1])
  const run = async (a: number, b: number, interval: number) => {
    const [u, v] = [one(1), one(1)]
    const [first, second] = [new Sgd({ u }), new Sgd({ v })]
    const scaler = new LossScaler(gpu, { scale: 1024, interval })
    const step = gpu.capture((x: Tensor, y: Tensor) => {
      const loss = add(sum(mul(u, x)), sum(mul(v, y)))
      const gradients = gpu.backward(loss, scaler.scale)
      first.step(gradients, () => 0.1, scaler)
      second.step(gradients, () => 0.1, scaler)
    })
    step.run({ values: [a], shape: [1] }, { values: [b], shape: [1] })
    return [u, v, scaler.scale, scaler.state['good'] ?? u].map(async (t) => (await gpu.read(t))[0])
  }
  const read = async (...given: Parameters<typeof run>) => Promise.all(await run(...given))
  const near = Math.fround(1 - Math.fround(0.1))
  assert.equal(await read(1, 1, 2000), [near, near, 1024, 1])
  assert.equal(await read(Infinity, 1, 2000), [1, near, 512, 0])
  assert.equal(await read(1, Infinity, 2000), [near, 1, 512, 0])
  assert.equal(await read(1, 1, 1), [near, near, 2048, 0]) // grows once
})

test('one scaler of four optimizers follows GradScaler for 30 steps, replayed', async ({ gpu }) => {
  const STEPS = 30
  const { 'Sgd with momentum': sgd, AdamW: adamW, Lars: lars, Adam: adam } = optimizerCases
  const cases = [sgd, adamW, lars, adam]
  const weightDecay = 0.1
  const size = 70
  // the second overflows at steps 4 and 5, the third at 11, the first and the last at 20
  const overflows = [[20], [4, 5], [11], [20]]
  const gradientsAt = (t: number) =>
    cases.map((_, i) =>
      random(size, 40 * t + i).map((g, k) => (k === 3 && overflows[i]?.includes(t) ? Infinity : g)),
    )
  const weights = cases.map((_, i) => gpu.variable(random(size, i + 1), [7, 10]))
  const sharing = cases.map(({ make }, i) => make({ w: weights[i] as Variable }, { weightDecay }))
  const scaler = new LossScaler(gpu, { scale: 1024, interval: 4 })
  const captured = gpu.capture((...given: Tensor[]) => {
    const losses = given.map((x, i) => sum(mul(weights[i] as Variable, x)))
    const gradients = gpu.backward(
      losses.reduce((a, b) => add(a, b)),
      scaler.scale,
    )
    for (const optimizer of sharing) optimizer.step(gradients, () => 0.05, scaler)
    return losses
  })
  const reference = new ScalerReference(1024, 4)
  const groups: Group[] = cases.map((_, i) => ({
    ...{ w: random(size, i + 1), state: {}, lr: 0.05, weightDecay, adapted: true },
  }))
  for (let t = 0; t < STEPS; t++) {
    const gradients = gradientsAt(t)
    captured.run(...gradients.map((g) => ({ values: Float32Array.from(g), shape: [7, 10] })))
    for (const [i, { reference: step }] of cases.entries()) {
      const own = [gradients[i] ?? []]
      // Adam's bias correction counts skipped steps too, which torch's does not
      reference.step(own, () => step([groups[i] as Group], own, t + 1))
    }
    reference.update()
    assert.is(await gpu.item(scaler.scale), reference.scale, `scale of step ${t}`)
  }
  assert.ok(captured.replays > 25, `${captured.reason}`)
  for (const [i, variable] of weights.entries())
    close(await gpu.read(variable), groups[i]?.w ?? [], 2e-5, `weights of ${i}`)
})

test('optimizers in turn, each with a backward pass of its own, have a scale each', async ({
  gpu,
}) => {
  const [u, v] = [gpu.variable([1], [1]), gpu.variable([1], [1])]
  const scaler = new LossScaler(gpu, { scale: 4, interval: 1 })
  for (const w of [u, v]) {
    const optimizer = new Sgd({ w })
    optimizer.step(gpu.backward(sum(w), scaler.scale), 0.5, scaler)
    assert.equal([...(await gpu.read(w))], [0.5])
  }
  assert.equal([...(await gpu.read(scaler.scale))], [16])
})

test('refuses gradients whose scale it does not know, or has moved', ({ gpu }) => {
  const w = gpu.variable([1], [1])
  const [first, second] = [new Sgd({ w }), new Sgd({ v: gpu.variable([1], [1]) })]
  const scaler = new LossScaler(gpu)
  const old = gpu.backward(sum(w), scaler.scale)
  for (let i = 0; i < 2; i++) first.step(gpu.backward(sum(w), scaler.scale), 0.1, scaler)
  refuses(
    () => first.step(old, 0.1, scaler),
    'LossScaler: these gradients were made with a scale that has moved since; call gpu.backward(loss, scaler.scale) again',
  )
  const [v = w] = Object.values(second.parameters)
  refuses(
    () => second.step(new Gradients(gpu.backward(sum(v), scaler.scale).entries()), 0.1, scaler),
    'LossScaler: several optimizers share it, so each must be given what gpu.backward(loss, scaler.scale) returned; otherwise make a LossScaler for each',
  )
  const gradients = gpu.backward(sum(v), scaler.scale)
  second.step(new Gradients(gradients.entries(), gradients), 0.1, scaler) // says whose they are
})

test.run()
