// Tests the training of a whole network with labels.

import * as assert from 'uvu/assert'
import { augment } from '../../kernels/augment/augment.ts'
import { crossEntropy } from '../../kernels/loss/cross-entropy.ts'
import { linear } from '../../kernels/matmul/linear.ts'
import type { Tensor, Variable } from '../../kernels/op.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { Adam } from '../../engine/optim/optimizer.ts'
import { embed } from '../../evaluate/embed.ts'
import { fineTuner } from '../../evaluate/fine-tune.ts'
import { linearProbe } from '../../evaluate/linear-probe.ts'
import { scoresOf } from '../../evaluate/regression.ts'
import { resnet8 } from '../../models/resnet.ts'
import { variablesOf } from '../../models/state.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call } from '../fixtures/misuse.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('fineTuner')
const side = 8

/** Images of one colour each, whose class is the brighter of red and blue. */
const labels = Int32Array.from({ length: 12 }, (_, n) => n % 2)
const images = Uint8Array.from({ length: 12 * side * side * 3 }, (_, i) => {
  const n = Math.floor(i / (side * side * 3))
  return i % 3 === 2 * (n % 2) ? 200 + n : 20 + ((i * 7) % 31)
})

const tuner = (gpu: Gpu) => {
  const encoder = resnet8(gpu, { stem: 'cifar', width: 2 })
  const made = fineTuner(gpu, {
    ...{ encoder, classes: 2, schedule: 0.02, image: [side, side, 3] },
    views: (x: Tensor) => augment(x, {}, { seed: 0, step: 0, view: 0 }),
    optimizer: (parameters) => new Adam(parameters),
  })
  return { encoder, ...made }
}

test('the first loss is the cross entropy of the network in training mode', async ({ gpu }) => {
  const { step, parameters } = tuner(gpu)
  const twin = resnet8(gpu, { stem: 'cifar', width: 2 })
  const { 'classifier.weight': weight, 'classifier.bias': bias } = parameters
  if (!weight || !bias) throw new Error('the classifier has no name')
  const expected = await gpu.item(
    gpu.step(() =>
      gpu.noGrad(() => {
        const x = augment(
          gpu.tensor(images, [12, side, side, 3]),
          {},
          { seed: 0, step: 0, view: 0 },
        )
        const h = twin.forward(x, { training: true })
        return crossEntropy(linear(h, weight, bias), Array.from(labels))
      }),
    ),
  )
  const [loss = NaN] = await gpu.read(step({ images, labels }))
  assert.ok(Math.abs(loss - expected) < 1e-5, `${loss}, expected ${expected}`)
})

test('changes every parameter and statistic, and learns; scoring changes none', async ({ gpu }) => {
  const { encoder, parameters, step, scores, accuracy, state } = tuner(gpu)
  const all = { ...variablesOf(encoder), ...parameters }
  const read = async () =>
    Promise.all(Object.entries(all).map(async ([name, v]) => [name, await gpu.read(v)] as const))
  const before = await read()
  for (let s = 0; s < 30; s++) await gpu.read(step({ images, labels }))
  const after = await read()
  assert.is(state.step, 30)
  for (const [i, [name, values]] of after.entries())
    assert.not.equal(values, before[i]?.[1], `${name} has changed`)
  assert.is(await accuracy([{ images, labels }]), 100)
  const half = (from: number) => ({
    images: images.subarray(from * side * side * 3, (from + 6) * side * side * 3),
    labels: labels.subarray(from, from + 6),
  })
  const whole = await scores([{ images, labels }])
  const parts = await scores([half(0), half(6)])
  assert.is(whole.length, 24)
  for (const [i, score] of whole.entries()) assert.ok(Math.abs(score - (parts[i] ?? 9)) < 1e-5)
  assert.equal(await read(), after)
})

test('begins with the scores of a linear probe of the same features', async ({ gpu }) => {
  const encoder = resnet8(gpu, { stem: 'cifar', width: 2 })
  const views = (x: Tensor) => augment(x, {}, { seed: 0, step: 0, view: 0 })
  const encode = (x: Tensor) => encoder.forward(views(x), { training: false })
  const rows = await embed(gpu, encode, [{ images }], [side, side, 3])
  const probe = await linearProbe(gpu, rows, labels, { classes: 2 })
  const options = {
    ...{ encoder, classes: 2, schedule: 0.02, image: [side, side, 3] as const, views, probe },
    optimizer: (parameters: Readonly<Record<string, Variable>>) => new Adam(parameters),
  }
  const scores = await fineTuner(gpu, options).scores([{ images, labels }])
  const expected = await scoresOf(gpu, rows, probe)
  for (const [i, score] of scores.entries())
    assert.ok(
      Math.abs(score - (expected[i] ?? NaN)) < 1e-4 * (1 + Math.abs(score)),
      `${i}: ${score}`,
    )
  refuses(
    () => fineTuner(gpu, { ...options, classes: 3 }),
    'fineTuner: probe must be of 8 features and 3 classes, got 8 and 2',
  )
  refuses(
    () => call(fineTuner, gpu, { ...options, probe: 5 }),
    'fineTuner: probe must be a fitted regression, got 5',
  )
  refuses(
    () => call(fineTuner, gpu, { ...options, epochs: 5 }),
    "fineTuner: there is no option 'epochs'; its options are encoder, classes, views, optimizer, schedule, image, probe, seed",
  )
})

test.run()
