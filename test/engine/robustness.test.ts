import * as assert from 'uvu/assert'
import { conv2d } from '../../kernels/conv/conv2d.ts'
import { ntXent } from '../../kernels/loss/ntxent.ts'
import { matmul } from '../../kernels/matmul/matmul.ts'
import { maxPool } from '../../kernels/pool/max-pool.ts'
import { batchNorm } from '../../kernels/norm/batch-norm.ts'
import { logSoftmax } from '../../kernels/reduce/log-softmax.ts'
import { topK } from '../../kernels/reduce/top-k.ts'
import { type Shape, type Tensor, sizeOf } from '../../kernels/op.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { openGpu as openInBrowser } from '../../engine/open.ts'
import { openGpu } from '../../engine/node.ts'
import { isRobust } from '../../engine/robustness.ts'
import { random } from '../fixtures/check.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, make, refusesAll } from '../fixtures/misuse.ts'
import { DeviceKernels } from '../../engine/device-kernels.ts'

const [test, full] = quickAndFull(gpuSuite('openGpu({ robustness: false })'))

/** Outputs for inputs of these shapes, and gradients of the inputs, as bits. */
type Outputs = (...inputs: readonly Tensor[]) => readonly Tensor[]

async function bitsOf(gpu: Gpu, shapes: readonly Shape[], outputs: Outputs) {
  const inputs = shapes.map((shape, i) => gpu.tensor(random(sizeOf(shape), i + 1), shape))
  const made = outputs(...inputs)
  const gradients = made.flatMap((y) => {
    const found = gpu.backward(y)
    return inputs.flatMap((input) => found.of(input) ?? [])
  })
  const all = await Promise.all([...made, ...gradients].map((t) => gpu.read(t)))
  return all.map(({ buffer }) => new Uint32Array(buffer))
}

async function sameBits(gpu: Gpu, shapes: readonly Shape[], outputs: Outputs) {
  const unchecked = await openGpu({ robustness: false })
  const { forms, software } = gpu.run
  const kernels = new DeviceKernels(unchecked, forms, software)
  const guest = new Gpu(unchecked.device, { kernels })
  const expected = await bitsOf(gpu, shapes, outputs)
  const got = await bitsOf(guest, shapes, outputs)
  assert.ok(expected.length >= outputs.length)
  assert.equal(got, expected)
  unchecked.destroy()
}

// Sizes are off the tiles and the widths of loads.
const norms: Outputs = (x, gamma, beta) => [
  maxPool(batchNorm(x, gamma, beta, null, { training: true }), {
    size: 2,
    stride: 1,
  }),
  topK(x, 3).values,
  logSoftmax(x),
]

test('computes the same bits without checks of indices', async ({ gpu }) => {
  await sameBits(gpu, [[2, 7, 5, 6], [6], [6]], norms)
})

full('computes the same bits with the kernels of GPUs', async ({ gpu }) => {
  const tiled = new Gpu(gpu.device, { kernels: 'gpu' })
  await sameBits(
    tiled,
    [
      [65, 33],
      [33, 7],
      [2, 7, 5, 5],
      [3, 3, 5, 6],
    ],
    (a, b, x, w) => [matmul(a, b), conv2d(x, w, { stride: 2, padding: 1 }), ntXent(a, a, 0.1)],
  )
})

test('is told by the Gpu', async ({ gpu }) => {
  const unchecked = await openGpu({ robustness: false })
  assert.is(isRobust(gpu.device), true)
  assert.is(isRobust(unchecked.device), false)
  assert.match(String(unchecked), /, indices unchecked\)$/)
  assert.not.match(String(gpu), /unchecked/)
  unchecked.destroy()
})

test('means the toggle of Dawn, which says the same', async () => {
  const gpu = await openGpu({ toggles: ['disable_robustness'] })
  assert.is(isRobust(gpu.device), false)
  gpu.destroy()
})

test('is refused where it has no effect, or contradicts toggles', async ({ gpu }) => {
  const remedy = `openGpu({ robustness: false }) of 'kindred/node' opens a device without checks`
  await refusesAll([
    [
      "an app's own device",
      () => make(Gpu, gpu.device, { robustness: false }),
      `Gpu: there is no option 'robustness' here, because who opened the device has decided on it; ${remedy}`,
    ],
    [
      'a browser',
      () => call(openInBrowser, { robustness: false }),
      `openGpu: there is no option 'robustness' here, because a browser always checks indices; ${remedy}`,
    ],
    [
      'no boolean',
      () => call(openGpu, { robustness: 'off' }),
      `openGpu: robustness must be true or false, got 'off'`,
    ],
    [
      'a toggle for false',
      () => call(openGpu, { robustness: false, toggles: ['-disable_robustness'] }),
      `openGpu: robustness is false, and toggles list '-disable_robustness'; leave one of them out`,
    ],
    [
      'a toggle against true',
      () => call(openGpu, { robustness: true, toggles: ['disable_robustness'] }),
      `openGpu: robustness is true, and toggles list 'disable_robustness'; leave one of them out`,
    ],
  ])
})

test.run()
