// A convNorm that adds another, its shortcut: the same as adding the other's result.

import * as assert from 'uvu/assert'
import { convNorm } from '../../../kernels/conv/conv-norm.ts'
import type { Tensor } from '../../../kernels/op.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { close, random } from '../../fixtures/check.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { replaysAlike } from '../../fixtures/replays-alike.ts'
import { refuses } from '../../fixtures/refusal.ts'

const [test, full] = quickAndFull(gpuSuite('convNorm with a shortcut'))

const shapes = {
  ...{ x: [4, 4, 4, 8], w: [3, 3, 8, 12], gamma: [12], beta: [12] },
  ...{ x2: [4, 8, 8, 4], w2: [1, 1, 4, 12], gamma2: [12], beta2: [12] },
}

/** Made with means far from zero, which rounding must not cost digits. */
const made = (gpu: Gpu): Tensor[] =>
  Object.values(shapes).map((shape, i) =>
    gpu.tensor(
      random(
        shape.reduce((a, b) => a * b, 1),
        i + 1,
      ).map((v) => v / 2 + 1),
      shape,
    ),
  )

interface Mode {
  readonly training: boolean
  readonly splits?: number
}

/** y, the gradients of all inputs, and both running statistics. */
async function results(gpu: Gpu, mode: Mode, fused: boolean): Promise<Float32Array[]> {
  const inputs = made(gpu)
  const [x, w, gamma, beta, x2, w2, gamma2, beta2] = inputs as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ]
  const statistics = () => ({
    mean: gpu.variable(random(12, 20), [12]),
    variance: gpu.variable(Array(12).fill(2), [12]),
  })
  const [running, running2] = [statistics(), statistics()]
  const how = { ...mode, momentum: 0.3, eps: 1e-3 }
  const residual = fused
    ? { x: x2, w: w2, gamma: gamma2, beta: beta2, running: running2, stride: 2 }
    : convNorm(x2, w2, gamma2, beta2, running2, { ...how, stride: 2 })
  const y = convNorm(x, w, gamma, beta, running, { ...how, residual, padding: 1, relu: true })
  const dy = gpu.tensor(random(768, 9), y.shape)
  const gradients = gpu.backward(y, dy)
  const all = inputs.map((t) => gradients.of(t) ?? assert.unreachable())
  const kept = [running.mean, running.variance, running2.mean, running2.variance]
  return Promise.all([y, ...(all as Tensor[]), ...kept].map((t) => gpu.read(t)))
}

for (const kernels of ['device', 'gpu'] as const)
  for (const activations of ['f32', 'f16'] as const)
    (kernels === 'gpu' ? full : test)(
      `equals adding its result: ${kernels}, images in ${activations}`,
      async ({ gpu: host }) => {
        const gpu = new Gpu(host.device, { kernels, activations })
        for (const mode of [
          { training: true },
          { training: false },
          { training: true, splits: 2 },
        ]) {
          const [one, two] = [await results(gpu, mode, true), await results(gpu, mode, false)]
          for (const [i, values] of two.entries()) {
            if (activations === 'f32' || mode.splits) assert.equal(one[i], values, `result ${i}`)
            else close(one[i] ?? [], values, 2e-2, `result ${i}`) // which stores one number less in f16
          }
        }
        await gpu.sync()
        gpu.destroy()
      },
    )

test('replays to the same bits', async ({ gpu }) => {
  const op = (...[x, w, gamma, beta, x2, w2, gamma2, beta2]: Tensor[]) => {
    if (!x || !w || !gamma || !beta || !x2 || !w2 || !gamma2 || !beta2) throw new Error('missing')
    return convNorm(x, w, gamma, beta, null, {
      ...{ training: true, padding: 1 },
      residual: { x: x2, w: w2, gamma: gamma2, beta: beta2, running: null, stride: 2 },
    })
  }
  assert.ok(await replaysAlike(gpu, op, made(gpu), gpu.tensor(random(768, 9), [4, 4, 4, 12])))
})

test('refuses a wrong shortcut', ({ gpu }) => {
  const [x, w, gamma, beta, x2, w2] = made(gpu)
  if (!x || !w || !gamma || !beta || !x2 || !w2) throw new Error('missing')
  const good = { x: x2, w: w2, gamma, beta, running: null, stride: 2 }
  const call = (residual: object) => () =>
    convNorm(x, w, gamma, beta, null, {
      training: true,
      padding: 1,
      residual: residual as typeof good,
    })
  refuses(
    call({ ...good, stride: 1 }),
    "convNorm: the residual must have the result's shape [4, 4, 4, 12], got [4, 8, 8, 12]",
  )
  refuses(
    call({ ...good, relu: true }),
    "convNorm: residual: there is no option 'relu'; its options are x, w, gamma, beta, running, stride, padding, padMode",
  )
  refuses(call({ x: x2 }), 'convNorm: residual: w is missing; it must be a tensor')
  refuses(
    () => convNorm(x, w, gamma, beta, null, { training: true, residual: 3 as unknown as Tensor }),
    'convNorm: residual must be a tensor or a shortcut, { x, w, gamma, beta, running }, or null, got 3',
  )
  refuses(
    call({ ...good, w: w }),
    'conv2d: channels differ, x [4, 8, 8, 4] has 4 and w [3, 3, 8, 12] takes 8',
  )
})

test.run()
