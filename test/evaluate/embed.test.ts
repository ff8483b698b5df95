import * as assert from 'uvu/assert'
import type { Tensor } from '../../kernels/op.ts'
import { embed } from '../../evaluate/embed.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('embed')

test('embeds every image of every batch, in order', async ({ gpu }) => {
  const flat = (images: Tensor) => gpu.run.view(images, [images.shape[0] ?? 0, 6])
  async function* batches() {
    yield { images: Uint8Array.from({ length: 12 }, (_, i) => i) }
    yield { images: Uint8Array.from({ length: 8 }, (_, i) => 250 + i), count: 1 } // the rest is left from another batch
  }
  const { features, M, D } = await embed(gpu, flat, batches(), [1, 2, 3])
  assert.equal([M, D], [3, 6])
  assert.equal([...features], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 250, 251, 252, 253, 254, 255])
  const refused = async (
    encode: (images: Tensor) => Tensor,
    images: Uint8Array,
    message: string,
  ) => {
    const error = await embed(gpu, encode, [{ images }], [1, 2, 3]).catch((e: unknown) => e)
    assert.is(error instanceof Error && error.message, message)
  }
  await refused(
    (images) => images,
    new Uint8Array(12),
    'embed: encode must return [2, D], got [2, 1, 2, 3]',
  )
  await refused(
    flat,
    new Uint8Array(8),
    'embed: a batch must be whole images [1, 2, 3], got 8 bytes',
  )
})

test('embed takes the pixels of a canvas', async ({ gpu }) => {
  const encode = () => gpu.tensor([[1], [2]])
  const images = Uint8ClampedArray.of(1, 2, 3, 4, 5, 6)
  const { features } = await embed(gpu, encode, [{ images }], [1, 1, 3])
  assert.equal([...features], [1, 2])
})

test.run()
