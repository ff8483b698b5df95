// Tests that a training gets the same batches from a set on the GPU as from a streamed one.

import * as assert from 'uvu/assert'
import { DataError, type Dataset } from '../../data/dataset.ts'
import { memoryDataset } from '../../data/memory-dataset.ts'
import { subset } from '../../data/select.ts'
import { openFeed } from '../../training/feed.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { type ImageBatch, imagesOf } from '../../methods/image-batch.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('feed')

const image = { height: 3, width: 5, channels: 3 }
const set = memoryDataset({
  ...{ name: 'bytes', image, classes: [], labels: null },
  pixels: Uint8Array.from({ length: 23 * 45 }, (_, i) => (i * 7919) % 251),
})

/** The pixels of a batch, by a captured step, as methods take them. */
async function pixelsOf(gpu: Gpu, batch: ImageBatch): Promise<number[]> {
  if ('pixels' in batch) return [...(batch.pixels as Uint8Array)] // the feed gives no other kind
  if (!('indices' in batch)) throw new Error('neither pixels nor numbers')
  const numbers = gpu.tensor(batch.indices, [batch.indices.length])
  const [images = numbers] = imagesOf([numbers, batch.set])
  return [...(await gpu.read(images))]
}

for (const [what, images] of Object.entries({ whole: set, subset: subset(set, 11, 4) })) {
  test(`${what}: the same images in the same order, in mid-epoch too, each read once`, async ({
    gpu,
  }) => {
    let read = 0
    const counted: Dataset = {
      ...images,
      read: (indices, out) => ((read += indices.length), images.read(indices, out)),
    }
    const resident = await openFeed(gpu, counted, 'auto')
    const streamed = await openFeed(gpu, images, 'off')
    for (const at of [{ epoch: 0 }, { epoch: 1, start: 1 }, { epoch: 2, dropLast: false }]) {
      const found: number[][][] = []
      for (const feed of [resident, streamed]) {
        const batches: number[][] = []
        for await (const fed of feed({ batch: 4, seed: 7, ...at }))
          batches.push([...fed.indices, ...(await pixelsOf(gpu, fed.images))])
        found.push(batches)
      }
      assert.equal(found[0], found[1])
      assert.ok((found[0] ?? []).length > 0)
    }
    assert.is(read, images.size)
  })
}

/** The message of what it throws. */
const complaint = (opening: Promise<unknown>) =>
  opening.then(
    () => 'nothing',
    (error: unknown) => String(error),
  )

test('a set larger than half a binding is streamed, and one larger than a binding cannot be told to stay', async ({
  gpu,
}) => {
  const most = gpu.device.limits.maxStorageBufferBindingSize
  const refusing = async () => {
    throw new DataError('bytes: unreadable')
  }
  const large = (bytes: number): Dataset => ({
    ...set,
    size: Math.ceil(bytes / 45),
    read: refusing,
  })
  const feed = await openFeed(gpu, large(most / 2 + 45), 'auto') // reads nothing yet
  assert.is(
    await complaint(feed({ batch: 4, seed: 0, epoch: 0 })[Symbol.asyncIterator]().next()),
    'DataError: bytes: unreadable',
  )
  const size = Math.ceil((most + 45) / 45)
  assert.is(
    await complaint(openFeed(gpu, large(most + 45), 'on')),
    `Error: bytes: the ${size} images have ${size * 45} bytes and this adapter binds at most ${most}; stream them instead`,
  )
  assert.is(
    await complaint(openFeed(gpu, { ...set, read: refusing }, 'auto')),
    'DataError: bytes: unreadable',
  )
})

test('whole images come with what each fills, by numbers as by pixels', async ({ gpu }) => {
  const extents = Float32Array.from({ length: 46 }, (_, i) => 1 + (i % 3))
  const whole = memoryDataset({
    ...{ name: 'bytes', image: { height: 4, width: 6, channels: 3 }, classes: [], labels: null },
    pixels: Uint8Array.from({ length: 23 * 72 }, (_, i) => (i * 31) % 241),
  })
  const both = { ...set, originals: { image: whole.image, extents, read: whole.read } }
  for (const images of [both, subset(both, 11, 4)])
    for (const resident of ['on', 'off'] as const)
      for await (const { images: batch, indices } of (await openFeed(gpu, images, resident))({
        batch: 4,
        seed: 7,
        epoch: 0,
      })) {
        const expected = new Uint8Array(4 * 72)
        await images.originals?.read(indices, expected)
        assert.equal(await pixelsOf(gpu, batch), [...expected])
        const filled = images.originals?.extents ?? []
        const part = [...indices].flatMap((i) => [filled[2 * i], filled[2 * i + 1]])
        assert.equal('extents' in batch && [...(batch.extents ?? [])], part)
      }
})

test.run()
