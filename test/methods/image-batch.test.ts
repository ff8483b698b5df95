import * as assert from 'uvu/assert'
import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { constant } from '../../engine/optim/schedule.ts'
import type { ImageBatch } from '../../methods/image-batch.ts'
import { simclr } from '../../methods/simclr.ts'
import { projectionHead } from '../../models/heads.ts'
import { resnet8 } from '../../models/resnet.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('image-batch')

const shape = [2, 8, 8, 3]
const NO_BATCH =
  'simclr: a batch must be a tensor [N, H, W, 3], { pixels, shape }, a batch of a data set with images and shape, or { set, indices }'
const bytes = Uint8Array.from({ length: 2 * 8 * 8 * 3 }, (_, i) => (i * 37) % 256)

/** A step of SimCLR on a small network. */
function steps(gpu: Gpu, chunk: number | null = null) {
  const encoder = resnet8(gpu, { width: 2 })
  const head = projectionHead(gpu, { features: encoder.features, hidden: 4, dim: 4 })
  const optimizer = new Sgd({ ...encoder.parameters, ...head.parameters })
  return simclr(gpu, {
    ...{ encoder, head, optimizer, schedule: constant(0), temperature: 0.5 },
    ...{ batchNorm: 'joint', views: cifarRecipe(8), chunk },
  })
}

test('pixels in any kind of array are the same images', async ({ gpu }) => {
  for (const chunk of [null, 1]) {
    const { step, state } = steps(gpu, chunk)
    const loss = async (batch: ImageBatch) => {
      state.step = 0
      return [...(await gpu.read(step(batch)))]
    }
    const wanted = await loss({ pixels: bytes, shape })
    for (const kind of [Uint8ClampedArray, Int16Array, Uint32Array])
      assert.equal(await loss({ pixels: kind.from(bytes), shape }), wanted)
    assert.equal(await loss({ pixels: [...bytes], shape }), wanted)
    const nested = [0, 1].map((n) =>
      [...Array(8).keys()].map((y) => {
        const row = bytes.subarray(192 * n + 24 * y, 192 * n + 24 * (y + 1))
        return [...Array(8).keys()].map((x) => row.subarray(3 * x, 3 * x + 3))
      }),
    )
    assert.equal(await loss({ pixels: nested }), wanted)
    const labels = new Int32Array(2)
    for (const images of [bytes, Int16Array.from(bytes), nested])
      assert.equal(await loss({ images, shape, indices: [7, 9], labels }), wanted)
    const set = gpu.variable(bytes, shape)
    for (const indices of [
      Int32Array.of(0, 1),
      [0, 1],
      BigInt64Array.of(0n, 1n),
      Uint8Array.of(0, 1),
    ])
      if (chunk === null) assert.equal(await loss({ set, indices }), wanted)
  }
})

test('what are no images is refused in words', ({ gpu }) => {
  const { step } = steps(gpu)
  const set = gpu.variable(bytes, shape)
  const cases: readonly (readonly [unknown, string])[] = [
    [null, `${NO_BATCH}, got null`],
    [bytes, `${NO_BATCH}, got a Uint8Array of 384 bytes`],
    [{ indices: [0, 1] }, `${NO_BATCH}, got an object with indices`],
    [
      { set: 1, indices: [0, 1] },
      `simclr: set must be a tensor, got 1; put values on the GPU with gpu.tensor(values, shape)`,
    ],
    [{ pixels: 7 }, 'simclr: pixels must be images [N, H, W, 3], got []; give their shape'],
    [
      { pixels: new Float64Array(384).fill(255), shape },
      'simclr: f32 pixels must be in [0, 1], got 255; divide them by 255, or give them as a Uint8Array',
    ],
    [
      { pixels: bytes.subarray(1), shape },
      'simclr: pixels: [2, 8, 8, 3] holds 384 values, got 383',
    ],
    [
      { pixels: new Int16Array(384).fill(256), shape },
      'simclr: pixels: 256 at 0 is no u8 (whole numbers from 0 to 255)',
    ],
    [
      { pixels: Array<number>(384).fill(0.5), shape },
      'simclr: pixels: 0.5 at 0 is no u8 (whole numbers from 0 to 255)',
    ],
    [{ set, indices: [0, 2] }, 'simclr: the set has 2 images, numbered from 0, got the index 2'],
    [
      { set, indices: [0.5] },
      'simclr: indices: 0.5 at 0 is no i32 (whole numbers from -2147483648 to 2147483647)',
    ],
  ]
  for (const [batch, message] of cases) refuses(() => step(batch as ImageBatch), message)
})

test.run()
