// Tests views of images of several sizes: a crop lies within its image's own extent, however the
// batch is given and cut.

import * as assert from 'uvu/assert'
import { augment } from '../../kernels/augment/augment.ts'
import { type Recipe, cifarRecipe } from '../../kernels/augment/recipes.ts'
import type { Tensor } from '../../kernels/op.ts'
import { reshape } from '../../kernels/shape/reshape.ts'
import { batchesOf } from '../../methods/batch.ts'
import type { ImageBatch } from '../../methods/image-batch.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('extents')

const [N, SIDE] = [5, 6]
const pixels = Uint8Array.from({ length: N * SIDE * SIDE * 3 }, (_, i) => (i * 7919) % 251)
const extents = Float32Array.of(6, 6, 3, 6, 6, 2, 4, 4, 1, 5)
const recipe: Recipe = cifarRecipe(4)

for (const chunk of [null, 2, 3])
  test(`views keep to the extents, ${chunk === null ? 'at once' : `in chunks of ${chunk}`}`, async ({
    gpu,
  }) => {
    const state = { step: 3 }
    const { inputs, open } = batchesOf(gpu, 'test', { views: recipe, chunk, seed: 5, state })
    const flat = (x: Tensor) => reshape(x, [x.shape[0] ?? 0, -1])
    const captured = gpu.capture((...batch: Tensor[]) => open(batch).keys(flat, 1))
    const shape = [N, SIDE, SIDE, 3]
    const images = gpu.tensor(pixels, shape)
    const filled = gpu.tensor(extents, [N, 2])
    const view = augment(images, recipe, { seed: 5, step: 3, view: 1 }, filled)
    const expected = await gpu.read(flat(view))
    const set = gpu.variable(pixels, shape)
    const indices = Int32Array.from({ length: N }, (_, i) => i)
    const given: ImageBatch[] = [
      { pixels, shape, extents },
      { set, indices, extents },
    ]
    for (const batch of given)
      for (let i = 0; i < 4; i++)
        assert.equal(await gpu.read(captured.run(...inputs(batch))), expected)
    const bare = await gpu.read(captured.run(...inputs({ pixels, shape })))
    assert.is(bare.length, expected.length)
    assert.not.equal(bare, expected)
  })

test('functions are handed the extents, and a wrong number of them is refused', async ({ gpu }) => {
  const seen: (readonly number[] | undefined)[] = []
  const views = (x: Tensor, { extents: filled }: { readonly extents?: Tensor }) => {
    seen.push(filled?.shape)
    return reshape(x, [x.shape[0] ?? 0, -1])
  }
  const { inputs, open } = batchesOf(gpu, 'test', { views, chunk: 3, state: { step: 0 } })
  const images = Float32Array.from(pixels)
  const batch = { pixels, shape: [N, SIDE, SIDE, 3] }
  const floats = gpu.tensor(images, batch.shape)
  open([floats, gpu.tensor(extents, [N, 2])]).keys((x) => x, 0)
  open([floats]).keys((x) => x, 0)
  assert.equal(seen, [[2, 2], [3, 2], undefined, undefined])
  refuses(
    () => inputs({ ...batch, extents: extents.subarray(2) }),
    'extents must be two numbers for each of the 5 images, got 8',
  )
})

test.run()
