// Tests the random numbers inside models: every method gives them seed, step, views and the place
// in the batch, so that chunks, both views at once and replays draw the same.

import * as assert from 'uvu/assert'
import type { Tensor } from '../../kernels/op.ts'
import { dropout } from '../../kernels/elementwise/dropout.ts'
import { concat } from '../../kernels/shape/concat.ts'
import { slice } from '../../kernels/shape/slice.ts'
import { restore, snapshot } from '../../engine/checkpoint.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { gradientCache } from '../../methods/gradient-cache.ts'
import { simclr } from '../../methods/simclr.ts'
import { ntXent } from '../../kernels/loss/ntxent.ts'
import { Builder } from '../../models/builder.ts'
import { type Mode, type Model, drawsOf } from '../../models/model.ts'
import { parametersOf } from '../../models/parts.ts'
import { loadModel, saveModel } from '../../models/state.ts'
import { S, batch, makers, oneStep, pixels } from '../fixtures/chunked-methods.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'
import { apart, network } from '../fixtures/small-network.ts'

const test = gpuSuite('draws of models')

const N = 7
const DROP = 0.5

for (const [name, make] of Object.entries(makers))
  test(`${name}: chunks of a batch drop what the whole batch drops`, async ({ gpu }) => {
    const how = { normed: false, drop: DROP }
    const whole = await oneStep(gpu, make, how, N)
    const cut = await oneStep(gpu, make, { ...how, chunk: 3 }, N)
    assert.ok(Math.hypot(...whole.gradient) > 1e-3)
    for (const what of ['losses', 'gradient', 'kept'] as const)
      if (whole[what].length > 0) {
        const error = apart(cut[what], whole[what])
        assert.ok(error < 2e-6, `${what}: relative error ${error}`) // float32 sums in another order
      }
    const other = await oneStep(gpu, make, { ...how, seed: 1, views: (x) => floats(gpu, x) }, N)
    const same = await oneStep(gpu, make, { ...how, seed: 0, views: (x) => floats(gpu, x) }, N)
    assert.ok(apart(other.losses, same.losses) > 1e-4, 'another seed drops others')
  })

/** A view without draws. */
const floats = (gpu: Gpu, x: Tensor) =>
  gpu.tensor(
    Float32Array.from(pixels(N), (v) => v / 255),
    x.shape,
  )

interface Given {
  readonly batchNorm?: 'joint' | 'per-view'
  readonly chunk?: number
  readonly capture?: boolean
  readonly seed?: number
}

function simclrOf(gpu: Gpu, { batchNorm = 'per-view', ...more }: Given = {}, seen?: Mode[]) {
  const { encoder, head } = network(gpu, false, DROP)
  const watched: Model = {
    ...encoder,
    forward(x, mode) {
      seen?.push(mode)
      return encoder.forward(x, mode)
    },
  }
  const optimizer = new Sgd(parametersOf({ encoder, head }), { momentum: 0.9 })
  const options = { encoder: watched, head, optimizer, schedule: 0.05, temperature: 0.5, seed: 5 }
  return simclr(gpu, { ...options, views: {}, batchNorm, ...more })
}

const losses = async (gpu: Gpu, method: ReturnType<typeof simclrOf>, steps: number) => {
  const read: number[] = []
  for (let s = 0; s < steps; s++)
    read.push(await gpu.item(method.step(batch(N, method.state.step))))
  return read
}

test('both views at once drop what each drops by itself, and replays what eager steps drop', async ({
  gpu,
}) => {
  const eager = await losses(gpu, simclrOf(gpu, { capture: false }), 6)
  const replayed = simclrOf(gpu)
  assert.equal(await losses(gpu, replayed, 6), eager)
  assert.ok(replayed.captured.replays >= 3)
  const joint = await losses(gpu, simclrOf(gpu, { batchNorm: 'joint' }), 6)
  const chunked = await losses(gpu, simclrOf(gpu, { batchNorm: 'joint', chunk: 2 }), 6)
  for (const other of [joint, chunked]) assert.ok(apart(other, eager) < 1e-5)
})

test('a step that is no number of a step draws nothing', ({ gpu }) => {
  for (const step of [-1, 0.5, 2 ** 32]) {
    const method = simclrOf(gpu, { capture: false })
    method.state.step = step
    refuses(
      () => method.step(gpu.tensor(new Float32Array(N * 192), [N, 8, 8, 3])),
      `augment: step must be a whole number from 0 to below 2^32, got ${step}`,
    )
  }
  refuses(
    () => simclrOf(gpu, { seed: 2 ** 32 }),
    'simclr: seed must be a whole number from 0 to below 2^32, got 4294967296',
  )
})

test('a training that is resumed drops what it would have dropped', async ({ gpu }) => {
  const whole = simclrOf(gpu)
  const want = await losses(gpu, whole, 6)
  const before = simclrOf(gpu)
  await losses(gpu, before, 3)
  const models = await saveModel(gpu, { encoder: before.encoder, head: before.head })
  const moments = await snapshot(gpu, before.optimizer.state)
  const after = simclrOf(gpu)
  loadModel(gpu, { encoder: after.encoder, head: after.head }, models)
  restore(gpu, after.optimizer.state, moments)
  after.state.step = 3
  assert.equal(await losses(gpu, after, 3), want.slice(3))
})

for (const [how, chunk, want] of [
  [
    'whole',
    undefined,
    [
      [0, 0],
      [1, 0],
    ],
  ],
  [
    'in chunks',
    4,
    [
      [0, 0],
      [0, 3],
      [1, 0],
      [1, 3],
      [0, 0],
      [0, 3],
      [1, 0],
      [1, 3],
    ],
  ],
] as const)
  // prettier-ignore
  test(`a method tells its encoder the view and the place of its images, ${how}`, async ({
    gpu,
  }) => {
    const seen: Mode[] = []
    const method = simclrOf(gpu, { capture: false, ...(chunk && { chunk }) }, seen)
    method.state.step = 9
    await gpu.read(method.step(batch(N)))
    assert.equal(seen.map(({ draws }) => [draws?.view, draws?.offset]), want)
    for (const { draws } of seen) {
      assert.is(draws?.seed, 5)
      assert.is(draws?.views, 1)
      assert.is(draws?.network, undefined)
    }
  })

test('gradientCache draws as the batch does, by what each part is told', async ({ gpu }) => {
  const { encoder, head } = network(gpu, false, DROP)
  const x = gpu.tensor(
    Float32Array.from(pixels(6), (v) => v / 255),
    [6, S, S, 3],
  )
  const w = encoder.parameters['conv0.weight']
  const of = (parts: readonly (readonly [number, number])[]) =>
    gpu.step(() => {
      const { loss, gradients } = gradientCache(
        gpu,
        parts.map(([offset, end]) => (mode) => {
          const at = { ...mode, draws: { seed: 1, step: 4, offset } }
          return head.forward(encoder.forward(slice(x, 0, offset, end), at), at)
        }),
        (z) => {
          const all = concat(z, 0)
          return ntXent(all, all, 0.5)
        },
      )
      const dw = w && gradients.of(w)
      return dw ? [loss, dw] : [loss]
    })
  const read = async (tensors: readonly Tensor[]) =>
    (await Promise.all(tensors.map((t) => gpu.read(t)))).flatMap((values) => [...values])
  const whole = await read(of([[0, 6]]))
  const cut = await read(of([[0, 1], [1, 4], [4, 6]])) // prettier-ignore
  assert.ok(whole.length > 1 && apart(cut, whole) < 2e-6)
})

test('a layer that draws is refused where it cannot know its draws', async ({ gpu }) => {
  const build = new Builder(gpu, 0)
  const drop = build.dropout('fc.drop', 0.1)
  const x = gpu.tensor([1, 2, 3, 4], [2, 2])
  assert.is(drop(x, { training: false }), x)
  assert.is(build.dropPath('none', 0)(x, { training: true }), x)
  refuses(
    () => drop(x, { training: true }),
    'fc.drop: a layer draws random numbers in training, and the mode has no draws; give { training: true, draws: { seed, step } }',
  )
  refuses(
    () => build.dropPath('fc.drop', 0.1),
    `Builder: the name fc.drop is used twice, which would lose the first layer's parameters; give each layer a name of its own`,
  )
  const mode = { training: true, draws: { seed: 1, step: 2 } }
  const [own, layer] = [dropout(x, 0.1, { ...drawsOf(mode), stream: 'fc.drop' }), drop(x, mode)]
  assert.equal(await gpu.read(own), await gpu.read(layer))
  const still = { ...drawsOf({ training: false }), stream: 'fc.drop' }
  assert.is(dropout(x, 0.1, still), x)
})

test.run()
