import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Dataset } from '../../data/dataset.ts'
import { procedural } from '../../data/procedural.ts'

async function pixels(set: Dataset): Promise<Uint8Array> {
  const out = new Uint8Array(set.size * set.image.height * set.image.width * 3)
  await set.read(
    Array.from({ length: set.size }, (_, i) => i),
    out,
  )
  return out
}

test('images and labels depend on the seed, the half and the number alone', async () => {
  const [a, b] = [
    procedural({ train: 20, test: 20, seed: 4 }),
    procedural({ train: 60, test: 30, seed: 4 }),
  ]
  const first = await pixels(a.train)
  assert.equal(await pixels(procedural({ train: 20, test: 20, seed: 4 }).train), first)
  const backwards = new Uint8Array(2 * 3072)
  await b.train.read([7, 3], backwards)
  assert.equal(backwards.subarray(0, 3072), first.subarray(7 * 3072, 8 * 3072))
  assert.equal(backwards.subarray(3072), first.subarray(3 * 3072, 4 * 3072))
  assert.not.equal(await pixels(a.test), first)
  assert.not.equal(await pixels(procedural({ train: 20, test: 20, seed: 5 }).train), first)
})

test('its ten classes are balanced and named', () => {
  const { train, test: held } = procedural({ train: 200, test: 50 })
  const counts = Array(10).fill(0)
  for (const label of train.labels ?? []) counts[label]++
  assert.equal(counts, Array(10).fill(20))
  assert.is(held.size, 50)
  assert.is(new Set(train.classes).size, 10)
  assert.equal(train.image, { height: 32, width: 32, channels: 3 })
})

test('an image at another size shows the same scene', async () => {
  const large = await pixels(procedural({ size: 64, train: 30, test: 1 }).train)
  const small = await pixels(procedural({ size: 32, train: 30, test: 1 }).train)
  let difference = 0
  for (let i = 0; i < 30; i++)
    for (let y = 0; y < 32; y++)
      for (let x = 0; x < 32; x++) {
        const corner = ((i * 64 + 2 * y) * 64 + 2 * x) * 3
        const four = [0, 3, 64 * 3, 64 * 3 + 3].map((step) => large[corner + step] ?? 0)
        const mean = four.reduce((a, b) => a + b) / 4
        difference += Math.abs(mean - (small[((i * 32 + y) * 32 + x) * 3] ?? 0))
      }
  // both are averages over the same squares of the same scene, sampled finely and coarsely
  assert.ok(difference / (30 * 1024) < 3, `mean difference ${difference / (30 * 1024)} of 255`)
})

test('mean brightness and contrast do not tell the classes apart', async () => {
  const { train } = procedural({ train: 2000, test: 1, seed: 1 })
  const all = await pixels(train)
  const means = Array(10).fill(0)
  const spreads = Array(10).fill(0)
  for (let i = 0; i < 2000; i++) {
    const image = all.subarray(i * 3072, (i + 1) * 3072)
    const mean = image.reduce((a, b) => a + b, 0) / 3072
    means[i % 10] += mean / 200
    spreads[i % 10] += Math.sqrt(image.reduce((a, b) => a + (b - mean) ** 2, 0) / 3072) / 200
  }
  // per image the mean varies by about 30 and the spread by 15, so over 200 images by 2.1 and 1.1:
  // five of these
  assert.ok(
    Math.max(...means) - Math.min(...means) < 10.5,
    `means ${means.map(Math.round).join(' ')}`,
  )
  assert.ok(
    Math.max(...spreads) - Math.min(...spreads) < 5.5,
    `spreads ${spreads.map(Math.round).join(' ')}`,
  )
})

test('nearest neighbours by pixels do little better than chance', async () => {
  const { train, test: queries } = procedural({ train: 1000, test: 200, seed: 1 })
  const [bank, asked] = [unitRows(await pixels(train)), unitRows(await pixels(queries))]
  let right = 0
  for (const [i, query] of asked.entries()) {
    const near = bank
      .map((row, j) => [dot(row, query), j % 10] as const)
      .sort(([a], [b]) => b - a)
      .slice(0, 20)
    const votes = Array(10).fill(0)
    for (const [, label] of near) votes[label]++
    right += votes.indexOf(Math.max(...votes)) === i % 10 ? 1 : 0
  }
  assert.ok(right / 200 < 0.3, `${right} of 200 right`)
})

function unitRows(bytes: Uint8Array): Float32Array[] {
  return Array.from({ length: bytes.length / 3072 }, (_, i) => {
    const row = Float32Array.from(bytes.subarray(i * 3072, (i + 1) * 3072))
    const norm = Math.sqrt(dot(row, row))
    return row.map((x) => x / norm)
  })
}

function dot(a: Float32Array, b: Float32Array) {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0)
  return sum
}

test('a set of no images, and one that no memory holds, are refused', () => {
  assert.throws(
    () => procedural({ size: 8192, train: 64, test: 1 }),
    (error: Error) =>
      error.message ===
      'procedural: at most 4294967296 bytes are kept, got 64 images of 8192 px, 12884901888 bytes; lower the size or the number of images',
  )
  assert.throws(
    () => procedural({ train: 0 }),
    (error: Error) => error.message === 'procedural: train must be a positive integer, got 0',
  )
})

test.run()
