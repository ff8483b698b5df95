// Tests the digests that tell data sets apart.

import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { digestsOf, imagesDigest, sampleOf } from '../../training/fingerprint.ts'
import { sha256 } from '../../training/sha256.ts'
import type { Dataset } from '../../data/dataset.ts'
import { memoryDataset } from '../../data/memory-dataset.ts'

const test = suite('fingerprint')

const image = { height: 2, width: 2, channels: 3 }
const classes = ['a', 'b']
const knn = { every: 1, k: null, temperature: 0.5, bank: null, queries: null }

/** Images of one value each. */
function half(values: readonly number[], labels: readonly number[], names = classes): Dataset {
  const pixels = Uint8Array.from(values.flatMap((value) => Array.from({ length: 12 }, () => value)))
  return memoryDataset({
    name: 'folder',
    image,
    classes: names,
    labels: Int32Array.from(labels),
    pixels,
  })
}

const values = Array.from({ length: 100 }, (_, i) => i)
const labels = values.map((i) => i % 2)
const digests = (train: Dataset, held: Dataset, settings = knn) =>
  digestsOf({ train, test: held }, { knn: settings }, sha256)

test('tells every training image and its place', async () => {
  const held = half([7], [1])
  const first = await digests(half(values, labels), held)
  assert.equal(await digests(half(values, labels), held), first)
  const swapped = values.with(1, 2).with(2, 1)
  assert.is(
    await sampleOf(half(swapped, labels)),
    await sampleOf(half(values, labels)),
    'not of the sample',
  )
  const other = await digests(half(swapped, labels), held)
  assert.is.not(other.images, first.images)
  assert.is(other.measured, first.measured)
})

test('tells labels, names of classes, test images and settings of kNN apart from those', async () => {
  const train = half(values, labels)
  const first = await digests(train, half([7, 8], [1, 0]))
  const others = [
    await digests(half(values, labels.with(5, 0)), half([7, 8], [1, 0])),
    await digests(half(values, labels, ['a', 'c']), half([7, 8], [1, 0], ['a', 'c'])),
    await digests(train, half([7, 9], [1, 0])),
    await digests(train, half([7, 8], [1, 1])),
    await digests(train, half([7, 8], [1, 0]), { ...knn, temperature: 1 }),
  ]
  for (const [i, { images, measured }] of others.entries()) {
    assert.is(images, first.images, `${i}`)
    assert.is.not(measured, first.measured, `${i}`)
  }
  const often = await digests(train, half([7, 8], [1, 0]), { ...knn, every: 9 })
  assert.equal(often, first)
})

test('of a set too large to be looked at whole tells the size of every file, and some pixels', async () => {
  const root = mkdtempSync(join(tmpdir(), 'kindred-fingerprint-'))
  const files = values.map((i) => `${i}.png`)
  for (const file of files) writeFileSync(join(root, file), 'x')
  const fileSizes = (indices: ArrayLike<number>) =>
    Promise.resolve(Array.from(indices, (i) => statSync(join(root, files[i] ?? '')).size))
  const reach = { whole: 1199, sample: 600, least: 2 }
  const of = (shown: readonly number[]) =>
    imagesDigest({ ...half(shown, labels), files, fileSizes }, sha256, reach)
  const first = await of(values)
  assert.is(await of(values.with(1, 99)), first, 'every second image is looked at')
  assert.is.not(await of(values.with(2, 99)), first)
  writeFileSync(join(root, '1.png'), 'xx')
  assert.is.not(await of(values), first)
  rmSync(root, { recursive: true })
})

test.run()
