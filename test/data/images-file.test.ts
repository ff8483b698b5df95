// A data set as one file: it comes back with the bytes that a training's digest is over, and what
// is no such file is refused in words.

import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import * as assert from 'uvu/assert'
import type { Split } from '../../data/dataset.ts'
import { filedImages, pixelBytes } from '../../data/images-file.ts'
import { imagesIn } from '../../data/images-in-file.ts'
import { memoryDataset } from '../../data/memory-dataset.ts'
import { openData } from '../../data/open.ts'
import { procedural } from '../../data/procedural.ts'
import { save } from '../../engine/node-files.ts'
import type { SafetensorsFile, SavedTensor } from '../../engine/safetensors.ts'
import { nodeSha256 } from '../../run-folder/run-folder.ts'
import { digestsOf, imagesDigest } from '../../training/fingerprint.ts'
import { runConfig } from '../fixtures/kept-run.ts'
import { opened, picture, pictureSuite, pixels } from '../fixtures/images.ts'
import { refuses, refusesAsync } from '../fixtures/refusal.ts'

const test = pictureSuite('a file of images')

const digests = (split: Split) => digestsOf(split, runConfig, nodeSha256)
const ofLarge = { whole: 0, sample: 2000, least: 2 } // digests that need the sizes of files

/** Asserts that two data sets are the same to a training. */
async function alike(a: Split, b: Split) {
  assert.equal(await digests(a), await digests(b))
  for (const half of ['train', 'test'] as const) {
    assert.equal(
      await imagesDigest(a[half], nodeSha256, ofLarge),
      await imagesDigest(b[half], nodeSha256, ofLarge),
    )
    assert.equal(await pixels(a[half]), await pixels(b[half]))
    const { labels, classes, files, image, size, originals } = a[half]
    const other = b[half]
    assert.equal(
      [labels, classes, files, image, size, originals?.image, originals?.extents],
      [
        ...[other.labels, other.classes, other.files, other.image, other.size],
        ...[other.originals?.image, other.originals?.extents],
      ],
    )
  }
}

test('a folder of photos of several sizes comes back as it was', async ({ folder, cache }) => {
  const sizes = [
    [30, 20],
    [9, 9],
    [12, 40],
    [8, 8],
    [90, 10],
  ] as const
  for (const [i, [width, height]] of sizes.entries())
    for (const kind of ['cat', 'dog'])
      await picture(join(folder, kind, `${i}.${i % 2 ? 'jpg' : 'png'}`), [i, 50, 9], width, height)
  const split = await opened(folder, { cache, originals: 16 })
  assert.ok(split.train.originals?.extents)
  const file = await filedImages({ ...split, about: { ...split.about, from: 'folder:x' } as never })
  assert.equal(
    [...file.tensors].reduce(
      (sum, [name, { data }]) => sum + (/pixels|whole/.test(name) ? data.length : 0),
      0,
    ),
    pixelBytes(split),
  )
  const path = join(folder, 'images.safetensors')
  await save(path, file.tensors, file.metadata)
  const back = await openData(`images:${path}`)
  await alike(split, back)
  assert.is(back.about?.from, 'folder:x')
  assert.equal(back.about?.notes, [`from the file ${path}, first read from folder:x`])
  const space = new Uint8Array(2 * 16 * 32 * 3 * 4).fill(7) // what lies beyond an image is zero
  const [was, is] = [space.slice(), space.slice()]
  await split.train.originals?.read([3, 0], was)
  await back.train.originals?.read([3, 0], is)
  assert.equal(is, was)
  await alike(split, imagesIn(await filedImages(back), 'again')) // what was carried is carried again
  await split.train.close?.()
  await split.test.close?.()
})

test('sets without labels, files, whole images or test images come back too', async () => {
  const drawn = procedural({ train: 12, test: 5, size: 8 })
  await alike(drawn, imagesIn(await filedImages(drawn), 'f'))
  const image = { height: 2, width: 3, channels: 3 }
  const bare = memoryDataset({ image, pixels: Uint8Array.from({ length: 36 }, (_, i) => 7 * i) })
  const none = memoryDataset({ image, pixels: [] })
  const all = { image, extents: null, read: bare.read.bind(bare) } // all fill the space
  const split = { train: { ...bare, originals: all }, test: none }
  await alike(split, imagesIn(await filedImages(split), 'f'))
})

test('a file of another program needs its pixels alone', async ({ folder }) => {
  const train = { shape: [2, 1, 2, 3], data: Uint8Array.from({ length: 12 }, (_, i) => i) }
  await save(join(folder, 'x.safetensors'), new Map([['train.pixels', train]]))
  const split = await openData(`images:${join(folder, 'x.safetensors')}`)
  assert.equal(await pixels(split.train), train.data)
  assert.equal([split.train.labels, split.train.classes, split.test.size], [null, [], 0])
  const labels = { shape: [2], data: Int32Array.of(1, -1) }
  const named = imagesIn(
    {
      tensors: new Map<string, SavedTensor>([
        ['train.pixels', train],
        ['train.labels', labels],
      ]),
      metadata: {},
    },
    'x',
  )
  assert.equal([named.train.labels, named.train.classes], [labels.data, ['0', '1']])
  const half = { 'test.pixels': train, 'test.labels': labels }
  const both = new Map<string, SavedTensor>(
    Object.entries({ ...half, 'train.pixels': train, 'train.labels': labels }),
  )
  const classes = { 'train.classes': '["cat", "dog"]' } // of both halves
  assert.equal(imagesIn({ tensors: both, metadata: classes }, 'x').test.classes, ['cat', 'dog'])
})

const u8 = (...shape: number[]): SavedTensor => ({
  shape,
  data: new Uint8Array(shape.reduce((a, b) => a * b, 1)),
})
const i32 = (shape: number[], ...values: number[]): SavedTensor => ({
  shape,
  data: Int32Array.from(values),
})
const whole = {
  'train.whole': u8(27),
  'train.space': i32([2], 2, 4),
  'train.extents': i32([2, 2], 1, 1, 2, 4),
}

const hostile: readonly (readonly [
  change: Readonly<Record<string, SavedTensor | null>>,
  metadata: Readonly<Record<string, string>>,
  message: string,
])[] = [
  [{ 'train.pixels': null }, {}, 'f: train.pixels is missing; it must be u8 [N, H, W, 3]'],
  [
    { 'train.pixels': { shape: [2, 2, 2, 3], data: new Float32Array(24) } },
    {},
    'f: train.pixels must be u8 [N, H, W, 3], got f32 [2, 2, 2, 3]',
  ],
  [
    { 'train.pixels': u8(2, 2, 2, 4) },
    {},
    'f: train.pixels must be u8 [N, H, W, 3], got u8 [2, 2, 2, 4]',
  ],
  [{ 'train.pixels': u8(24) }, {}, 'f: train.pixels must be u8 [N, H, W, 3], got u8 [24]'],
  [{ 'train.pixels': u8(0, 2, 2, 3) }, {}, 'f: it has no image to train on'],
  [
    { 'train.pixels': u8(2, 0, 2, 3) },
    {},
    'f: train.pixels must have a height and a width, got [2, 0, 2, 3]',
  ],
  [
    { 'test.pixels': u8(1, 3, 2, 3) },
    {},
    'f: test.pixels must have the sides of train.pixels, 2 x 2, got 3 x 2',
  ],
  [{ 'train.labels': u8(2) }, {}, 'f: train.labels must be i32 [2], got u8 [2]'],
  [{ 'train.labels': i32([1], 0) }, {}, 'f: train.labels must be i32 [2], got i32 [1]'],
  [
    {},
    { 'train.classes': '["cat", "dog"]' },
    'f: train.labels is missing, and the file names 2 classes',
  ],
  [
    { 'train.labels': i32([2], 0, 2) },
    { 'train.classes': '["cat", "dog"]' },
    'f: train: a label must be one of the 2 classes, numbered from 0, or -1 for none, got 2 at 1',
  ],
  [{}, { 'train.classes': '[' }, 'f: train.classes must be a list of texts in JSON, got ['],
  [{}, { 'train.files': '[1, 2]' }, 'f: train.files must be a list of texts in JSON, got [1, 2]'],
  [
    {},
    { 'train.files': '["a"]' },
    'f: train: there must be one file per image, got 1 file and 2 images',
  ],
  [{ ...whole, 'train.space': null }, {}, 'f: train.space is missing; it must be i32 [2]'],
  [
    { ...whole, 'train.space': i32([2], 1e9, 1e9) },
    {},
    'f: train.space must hold 1 to 67108864 pixels, got 1000000000 x 1000000000',
  ],
  [
    { ...whole, 'train.space': i32([2], -2, -4) },
    {},
    'f: train.space must hold 1 to 67108864 pixels, got -2 x -4',
  ],
  [
    { ...whole, 'train.extents': i32([2, 2], 1, 1, 2, 5) },
    {},
    'f: train.extents must lie in 2 x 4, got 2 x 5 at 1',
  ],
  [
    { ...whole, 'train.extents': i32([2, 2], 0, 1, 2, 4) },
    {},
    'f: train.extents must lie in 2 x 4, got 0 x 1 at 0',
  ],
  [
    { ...whole, 'train.space': i32([2], 8192, 8192) },
    {},
    'f: train.space must be as large as the largest image, at most 8 x 8, got 8192 x 8192',
  ],
  [
    { 'train.space': i32([2], 2, 2) },
    {},
    'f: train.space is of whole images, and train.whole is missing',
  ],
  [
    { 'test.extents': i32([1, 2], 2, 2) },
    {},
    'f: test.extents is of whole images, and test.whole is missing',
  ],
  [
    { 'train.labels': i32([2], 0, 2 ** 31 - 1) },
    {},
    'f: train: a label without class names must be below 1048576, got 2147483647 at 1; number the classes from 0',
  ],
  [
    { 'train.labels': i32([2], 0, 1) },
    { 'train.classes': '["cat", ""]' },
    "f: train: each class must have a name, got '' at 1; name it, or leave classes out",
  ],
  [{ ...whole, 'train.whole': u8(26) }, {}, 'f: train.whole must be u8 [27], got u8 [26]'],
  [{ 'train.bytes': i32([2], 1, 2) }, {}, 'f: train.bytes must be i64 [2], got i32 [2]'],
]

test('what is no file of images is refused in words', async ({ folder }) => {
  const base: Readonly<Record<string, SavedTensor | null>> = {
    'train.pixels': u8(2, 2, 2, 3),
    'test.pixels': u8(1, 2, 2, 3),
  }
  const file = (change: (typeof hostile)[number][0], metadata: SafetensorsFile['metadata']) => {
    const entries = Object.entries({ ...base, ...change }).flatMap(([name, tensor]) =>
      tensor ? [[name, tensor] as const] : [],
    )
    return { tensors: new Map(entries), metadata }
  }
  assert.is(imagesIn(file(whole, {}), 'f').train.originals?.image.width, 4)
  const left = { ...whole, 'train.space': i32([2], 8, 8) } // a subset without the largest
  assert.is(imagesIn(file(left, {}), 'f').train.originals?.image.width, 8)
  for (const [change, metadata, message] of hostile)
    refuses(() => imagesIn(file(change, metadata), 'f'), message)
  const path = join(folder, 'x.safetensors')
  await refusesAsync(
    () => openData(`images:${path}`),
    `images: cannot read ${path}: there is no such file`,
  )
  await writeFile(path, 'text')
  await refusesAsync(
    () => openData(`images:${path}`),
    `images: ${path}: a safetensors file has at least 8 bytes, got 4`,
  )
})

test('images beyond what a page can hold are refused before any is read', async () => {
  const image = { height: 1000, width: 1000, channels: 3 }
  const one = memoryDataset({ image: { height: 1, width: 1, channels: 3 }, pixels: [1, 2, 3] })
  const read = () => Promise.reject(new Error('it was read'))
  const train = { ...one, name: 'folder', image, size: 400, read }
  await refusesAsync(
    () => filedImages({ train, test: { ...one, image, size: 0, read } }),
    'folder: 400 images take 1200000000 bytes as pixels, and one file carries at most 1073741824, since a page holds it in memory; carry the files themselves, or train on a subset',
  )
  const vast = {
    image: { height: 9000, width: 9000, channels: 3 },
    extents: null,
    read,
  }
  await refusesAsync(
    () => filedImages({ train: { ...one, originals: vast }, test: one }),
    'images: the whole images need a space of 9000 x 9000 pixels, and one file carries at most 67108864 pixels each; carry the files themselves',
  )
  const wide = {
    ...vast,
    image: { ...vast.image, height: 5, width: 8 },
    extents: Float32Array.of(5, 2),
  }
  await refusesAsync(
    () => filedImages({ train: { ...one, originals: wide }, test: one }),
    'images: the whole images lie in a space of 5 x 8 pixels, and one file carries at most 5 x 4 for them; make it as large as the largest',
  )
})

test.run()
