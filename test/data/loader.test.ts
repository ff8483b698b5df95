import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { DataError, type Dataset, imageBytes } from '../../data/dataset.ts'
import { memoryDataset } from '../../data/memory-dataset.ts'
import { permutation, select, subset } from '../../data/select.ts'
import { type Batch, batches, countSteps } from '../../data/loader.ts'
import { refusal } from '../fixtures/refusal.ts'

/** A set of 1 x 2 images, every byte of which is the image's number. */
function numbered(size: number, classes = 3): Dataset {
  const image = { height: 1, width: 2, channels: 3 }
  return memoryDataset({
    name: 'numbered',
    image,
    classes: Array.from({ length: classes }, (_, i) => `class ${i}`),
    labels: classes > 0 ? Int32Array.from({ length: size }, (_, i) => i % classes) : null,
    pixels: Uint8Array.from({ length: size * 6 }, (_, i) => Math.floor(i / 6)),
  })
}

async function collect(all: AsyncIterable<Batch>): Promise<Batch[]> {
  const found: Batch[] = []
  for await (const batch of all) found.push(batch)
  return found
}

const order = async (all: AsyncIterable<Batch>) =>
  (await collect(all)).flatMap(({ indices }) => [...indices])

test('an epoch gives every image once, with its own pixels and label', async () => {
  const found = await collect(
    batches(numbered(23), { batch: 5, seed: 1, epoch: 0, dropLast: false }),
  )
  assert.equal(
    found.map(({ step, indices }) => [step, indices.length]),
    [
      [0, 5],
      [1, 5],
      [2, 5],
      [3, 5],
      [4, 3],
    ],
  )
  const seen = found.flatMap(({ indices }) => [...indices])
  assert.equal(
    seen.sort((a, b) => a - b),
    Array.from({ length: 23 }, (_, i) => i),
  )
  for (const { indices, images, labels } of found)
    indices.forEach((index, n) => {
      assert.equal([...images.subarray(n * 6, n * 6 + 6)], Array(6).fill(index))
      assert.is(labels?.[n], index % 3)
    })
})

test('the order depends on seed and epoch, and on nothing else', async () => {
  const at = (seed: number, epoch: number, batch = 4, prefetch = 2) =>
    order(batches(numbered(24), { batch, seed, epoch, prefetch }))
  const first = await at(7, 3)
  assert.equal(await at(7, 3), first)
  assert.equal(await at(7, 3, 8, 0), first)
  assert.not.equal(await at(7, 4), first)
  assert.not.equal(await at(8, 3), first)
  assert.equal(
    await order(batches(numbered(4), { batch: 2, seed: 1, epoch: 1, shuffle: false })),
    [0, 1, 2, 3],
  )
})

test('every order is as likely as any other', () => {
  const counts = new Map<string, number>()
  for (let key = 0; key < 6000; key++) {
    const found = permutation(3, [key, 5]).join('')
    counts.set(found, (counts.get(found) ?? 0) + 1)
  }
  // 1000 of each expected, standard deviation 29
  assert.is(counts.size, 6)
  for (const count of counts.values())
    assert.ok(Math.abs(count - 1000) < 5 * 29, `${count} of 1000`)
})

test('a run that resumes within an epoch sees the batches that it would have seen', async () => {
  const options = { batch: 4, seed: 2, epoch: 9 }
  const whole = await collect(batches(numbered(30), options))
  const rest = await collect(batches(numbered(30), { ...options, start: 3 }))
  assert.equal(rest, whole.slice(3))
  assert.is(whole.length, 7)
  assert.equal(await collect(batches(numbered(30), { ...options, start: 7 })), [])
})

test('batches are read ahead, and no more of them than asked for', async () => {
  const set = numbered(40)
  const reads: Promise<void>[] = []
  const counted: Dataset = {
    ...set,
    read(indices, out) {
      const read = turn().then(() => set.read(indices, out))
      reads.push(read)
      return read
    },
  }
  for await (const { step } of batches(counted, { batch: 4, seed: 0, epoch: 0, prefetch: 3 })) {
    assert.is(reads.length, Math.min(10, step + 1 + 3))
    await Promise.all(reads) // and the end of a read begins no other
    await turn()
    assert.is(reads.length, Math.min(10, step + 1 + 3))
  }
})

test('without pixels the numbers and labels are the same, and nothing is read', async () => {
  const unread: Dataset = { ...numbered(23), read: () => Promise.reject(new Error('read')) }
  const at = { batch: 5, seed: 1, epoch: 2 }
  const [bare, whole] = [
    await collect(batches(unread, { ...at, pixels: false })),
    await collect(batches(numbered(23), at)),
  ]
  assert.equal(
    bare,
    whole.map((batch) => ({ ...batch, images: new Uint8Array(0) })),
  )
})

test('stopping early waits for the reads under way, so that the set can be closed', async () => {
  const set = numbered(40)
  let reading = 0
  const slow: Dataset = {
    ...set,
    async read(indices, out) {
      reading++
      await turn()
      await turn()
      await set.read(indices, out)
      reading--
    },
  }
  for await (const { step } of batches(slow, { batch: 4, seed: 0, epoch: 0 })) if (step === 1) break
  assert.is(reading, 0)
})

test('a read that fails is thrown when its batch is asked for', async () => {
  const set = numbered(40)
  let reads = 0
  const failing: Dataset = {
    ...set,
    read: (indices, out) =>
      ++reads === 3
        ? Promise.reject(new DataError('numbered: the disk is gone'))
        : set.read(indices, out),
  }
  const seen: number[] = []
  const message = await refusal(async () => {
    for await (const { step } of batches(failing, { batch: 4, seed: 0, epoch: 0, prefetch: 4 })) {
      seen.push(step)
      await turn()
    }
  })
  assert.is(message, 'numbered: the disk is gone')
  assert.equal(seen, [0, 1])
})

test('a batch that cannot be made is refused in words', async () => {
  assert.is(
    await refusal(() => batches(numbered(300), { batch: 512, seed: 0, epoch: 0 })),
    'numbered: batch 512 is larger than the 300 images; lower the batch to 300 or less, or add images',
  )
  assert.is(
    await refusal(() => batches(numbered(1), { batch: 2, seed: 0, epoch: 0 })),
    'numbered: batch 2 is larger than the 1 image; add images',
  )
  const large = { ...numbered(300), image: { height: 8192, width: 8192, channels: 3 } as const }
  assert.is(
    await refusal(() => countSteps(large, { batch: 64 })),
    'numbered: a batch must have at most 4294967296 bytes, got 64 images, 12884901888 bytes; lower the batch or the size of the images',
  )
  assert.is(
    await refusal(() => countSteps(numbered(3), { batch: 0 })),
    'numbered: batch must be a positive integer, got 0',
  )
  assert.is(
    await refusal(() => countSteps(numbered(0), { batch: 1 })),
    'numbered: there are no images to make batches of',
  )
  assert.is(
    await refusal(() => batches(numbered(3), { batch: 1, seed: 0, epoch: 0, start: -1 })),
    'numbered: start must be an integer from 0, got -1',
  )
  assert.is(
    await refusal(() => batches(numbered(3), { batch: 1, seed: 0.5, epoch: 0 })),
    'numbered: seed must be an integer, got 0.5',
  )
  assert.is(countSteps(numbered(300), { batch: 512, dropLast: false }), 1)
})

test('a set without labels gives batches without labels', async () => {
  const [batch] = await collect(batches(numbered(4, 0), { batch: 4, seed: 0, epoch: 0 }))
  assert.is(batch?.labels, null)
})

test('a subset has as many of each class as it can, and depends on its seed alone', () => {
  const labels = Int32Array.from({ length: 60 }, (_, i) => (i < 4 ? 0 : 1 + (i % 2)))
  const set = { ...numbered(60), labels }
  const counts = (n: number, seed = 1) => {
    const found = [0, 0, 0]
    for (const label of subset(set, n, seed).labels ?? []) found[label] = (found[label] ?? 0) + 1
    return found
  }
  assert.equal(counts(12), [4, 4, 4])
  assert.equal(counts(20), [4, 8, 8])
  assert.equal(subset(set, 12, 5).labels, subset(set, 12, 5).labels)
  assert.is(subset(set, 60, 5), set)
  assert.is(subset(numbered(9, 0), 4, 0).size, 4)
})

test('a subset reads the images of its own labels', async () => {
  const part = subset(numbered(50), 10, 3)
  const out = new Uint8Array(10 * 6)
  await part.read(
    Array.from({ length: 10 }, (_, i) => i),
    out,
  )
  const values = Array.from({ length: 10 }, (_, i) => out[i * 6] ?? -1)
  assert.is(new Set(values).size, 10)
  assert.equal(
    values.map((value) => value % 3),
    [...(part.labels ?? [])],
  )
  const other = subset(numbered(50), 10, 4)
  await other.read([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], out)
  assert.not.equal(
    Array.from({ length: 10 }, (_, i) => out[i * 6]),
    values,
  )
})

test('what is outside a set, or does not fit, is refused', async () => {
  const set = numbered(4)
  assert.is(imageBytes(set), 6)
  const out = new Uint8Array(6)
  assert.is(
    await refusal(() => set.read([4], out)),
    'numbered: an index must be from 0 to 3, got 4',
  )
  assert.is(
    await refusal(() => set.read([0.5], out)),
    'numbered: an index must be from 0 to 3, got 0.5',
  )
  assert.is(
    await refusal(() => set.read([0, 1], out)),
    'numbered: 2 images need 12 bytes, got room for 6',
  )
  for (const index of [9, 0.5, -1, 2 ** 32 + 1, NaN, Infinity])
    assert.is(
      await refusal(() => select(set, [0, index])),
      `numbered: an index must be from 0 to 3, got ${index}`,
    )
  assert.is(
    await refusal(() => set.read([0], out.subarray(1))),
    'numbered: 1 image needs 6 bytes, got room for 5',
  )
  assert.is(
    await refusal(() => select(set, [1]).read([1], out)),
    'numbered: an index must be from 0 to 0, got 1',
  )
  assert.is(
    await refusal(() => subset(set, 0, 1)),
    'numbered: a subset must have at least 1 image, got 0',
  )
})

test('a set in memory must be whole images, with one label each', async () => {
  const image = { height: 1, width: 1, channels: 3 }
  const make = (bytes: number, labels: number) => () =>
    memoryDataset({
      name: 'm',
      image,
      classes: ['a'],
      labels: new Int32Array(labels),
      pixels: new Uint8Array(bytes),
    })
  assert.is(
    await refusal(make(7, 2)),
    'm: pixels must be whole images of 1 x 1 x 3 bytes, got 7 bytes',
  )
  assert.is(
    await refusal(make(6, 3)),
    'm: there must be one label per image, got 3 labels and 2 images',
  )
})

test.run()
