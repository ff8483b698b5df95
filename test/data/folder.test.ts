import { mkdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { openImages } from '../../data/image-folder.ts'
import { openData } from '../../data/open.ts'
import { near, opened, picture, pictureSuite, pixels } from '../fixtures/images.ts'
import { refusal } from '../fixtures/refusal.ts'

const test = pictureSuite('folder')

test('threads decode side by side; every folder is a class, at any depth, whatever the case of the extension', async ({
  folder,
  cache,
}) => {
  for (let i = 0; i < 10; i++) {
    await picture(join(folder, `cat/${i}.JPG`), [250, 0, 0])
    await picture(join(folder, `dog/deep/er/${i}.webp`), [0, 0, 250])
  }
  await picture(join(folder, 'cat/.hidden.png'))
  await writeFile(join(folder, 'cat/notes.txt'), 'no image')
  const { train, test: held } = await opened(folder, { cache, workers: 3 })
  assert.equal([train.size, held.size], [16, 4])
  assert.equal(train.classes, ['cat', 'dog'])
  assert.equal([...(held.labels ?? [])], [0, 0, 1, 1])
  assert.equal(train.image, { height: 8, width: 8, channels: 3 })
  const all = await pixels(train)
  train.labels?.forEach((label, i) =>
    near(all.subarray(i * 192), label === 0 ? [250, 0, 0] : [0, 0, 250]),
  )
  assert.equal(new Set([...(train.files ?? []), ...(held.files ?? [])]).size, 20)
})

test('images without labels all train', async ({ folder, cache }) => {
  for (let i = 0; i < 5; i++) await picture(join(folder, `${i}.png`))
  const { train, test: held, about } = await opened(folder, { cache })
  assert.equal([train.size, held.size], [5, 0])
  assert.is(about?.split, 'all images train')
  assert.equal(about?.notes, ['there are no folders of classes'])
})

test('the split is the same at every opening, and the image at every size of the rest', async ({
  folder,
  cache,
}) => {
  for (let i = 0; i < 20; i++) await picture(join(folder, `${i}.png`), [i * 10, 0, 0])
  const first = await opened(folder, { cache, testShare: 0.2 })
  const again = await opened(folder, { cache: `${cache}-2`, testShare: 0.2 })
  assert.equal(again.test.files, first.test.files)
  assert.is(first.test.size, 4)
  assert.is(first.train.labels, null)
  assert.equal(first.train.classes, [])
  const none = await opened(folder, { cache, testShare: 0 })
  assert.equal([none.train.size, none.test.size], [20, 0])
  const images = await openImages(folder, { size: 8, cache })
  assert.is(images.size, 20)
  const all = await pixels(images)
  images.files.forEach((file, i) => near(all.subarray(i * 192), [parseInt(file) * 10, 0, 0]))
})

test('folders called train and val are the split', async ({ folder, cache }) => {
  await picture(join(folder, 'train/cat/1.png'))
  await picture(join(folder, 'train/dog/1.png'))
  await picture(join(folder, 'train/dog/2.png'))
  await picture(join(folder, 'val/dog/3.png'))
  await picture(join(folder, 'other/bird/1.png'))
  const { train, test: held } = await opened(folder, { cache })
  assert.equal(train.files, ['train/cat/1.png', 'train/dog/1.png', 'train/dog/2.png'])
  assert.equal(held.files, ['val/dog/3.png'])
  assert.equal([...(train.labels ?? []), ...(held.labels ?? [])], [0, 1, 1, 1])
  assert.equal(train.classes, ['cat', 'dog'])
})

test('images beside the class folders are skipped with a reason', async ({ folder, cache }) => {
  for (const path of ['cat/1.png', 'cat/2.png', 'dog/1.png', 'dog/2.png', 'stray.png'])
    await picture(join(folder, path))
  const { train } = await opened(folder, { cache })
  assert.equal(train.skipped, [{ file: 'stray.png', reason: 'is in none of the class folders' }])
})

test('grey, transparent, 16-bit, CMYK and rotated images come out upright in RGB', async ({
  folder,
  cache,
}) => {
  const create = {
    width: 16,
    height: 8,
    channels: 4 as const,
    background: { r: 0, g: 0, b: 0, alpha: 0 },
  }
  await sharp({ create }).png().toFile(join(folder, '1-clear.png'))
  const solid = { ...create, background: { r: 90, g: 90, b: 90, alpha: 1 } }
  await sharp({ create: solid }).toColourspace('b-w').png().toFile(join(folder, '2-grey.png'))
  await sharp(new Uint16Array(16 * 8 * 3).fill(40000), {
    raw: { width: 16, height: 8, channels: 3 },
  })
    .toColourspace('rgb16')
    .png()
    .toFile(join(folder, '3-deep.png'))
  await sharp({ create: { ...solid, background: '#fff' } })
    .toColourspace('cmyk')
    .jpeg()
    .toFile(join(folder, '4-cmyk.jpg'))
  // stored with its red half on the left, to be shown turned by 180 degrees
  const sides = Buffer.from(
    Array.from({ length: 16 * 8 }, (_, i) => (i % 16 < 8 ? [250, 0, 0] : [0, 0, 250])).flat(),
  )
  await sharp(sides, { raw: { width: 16, height: 8, channels: 3 } })
    .withMetadata({ orientation: 3 })
    .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
    .toFile(join(folder, '5-turned.jpg'))
  const images = await openImages(folder, { size: 8, cache })
  assert.equal(images.skipped, [])
  const all = await pixels(images)
  near(all, [255, 255, 255])
  near(all.subarray(192), [90, 90, 90])
  near(all.subarray(2 * 192), [156, 156, 156]) // 40000 / 257
  near(all.subarray(3 * 192), [255, 255, 255])
  near(all.subarray(4 * 192), [0, 0, 250])
  near(all.subarray(4 * 192 + 7 * 3), [250, 0, 0])
})

test('the middle of an oblong image is kept', async ({ folder, cache }) => {
  const wide = Buffer.from(Array.from({ length: 48 * 16 }, (_, i) => (i % 48) * 5))
  await sharp(wide, { raw: { width: 48, height: 16, channels: 1 } })
    .png()
    .toFile(join(folder, 'wide.png'))
  const images = await openImages(folder, { size: 16, cache })
  const all = await pixels(images)
  // columns 16 to 31 of 48, at their own size
  assert.equal(
    Array.from({ length: 16 }, (_, x) => all[x * 3]),
    Array.from({ length: 16 }, (_, x) => (16 + x) * 5),
  )
})

test('whole images are kept beside their middle squares, from memory as from the cache', async ({
  folder,
  cache,
}) => {
  const thirds = Buffer.from(
    Array.from({ length: 60 * 12 }, (_, i) => {
      const x = i % 60
      return x < 20 ? [250, 0, 0] : x < 40 ? [0, 0, 250] : [0, 250, 0]
    }).flat(),
  )
  await sharp(thirds, { raw: { width: 60, height: 12, channels: 3 } })
    .png()
    .toFile(join(folder, 'a.png'))
  await picture(join(folder, 'b.png'), [9, 9, 9], 4, 10)
  for (const memory of [1e6, 0]) {
    const { train, decoded } = await opened(folder, { cache, originals: 30, memory })
    assert.is(decoded, memory === 0 ? 0 : 2)
    assert.equal(train.originals?.image, { height: 12, width: 60, channels: 3 })
    assert.equal([...(train.originals?.extents ?? [])], [12, 60, 10, 4])
    const whole = new Uint8Array(2 * 2160)
    await train.originals?.read([1, 0], whole)
    const at = (n: number, y: number, x: number) => whole.subarray(n * 2160 + y * 180 + 3 * x)
    near(at(0, 9, 3), [9, 9, 9])
    near(at(0, 9, 4), [0, 0, 0])
    near(at(1, 0, 0), [250, 0, 0])
    near(at(1, 6, 30), [0, 0, 250])
    near(at(1, 11, 59), [0, 250, 0])
    near(at(0, 10, 0), [0, 0, 0])
    near(await pixels(train), [0, 0, 250])
    await train.close?.()
  }
  await rm(join(folder, 'a.png'))
  await picture(join(folder, 'b.png'), [9, 9, 9], 8, 8)
  assert.is((await opened(folder, { cache, originals: 30 })).train.originals, undefined)
})

test('the shorter side of an oblong image keeps the pixels of a view, and memory its bound', async ({
  folder,
  cache,
}) => {
  // width x height, and both as they are kept whole under originals: 32
  const sizes = [
    ['64x32', '32x16'],
    ['60x40', '32x21'],
    ['80x32', '40x16'],
    ['32x128', '16x64'],
    ['160x32', '64x16'],
    ['32x320', '16x64'],
    ['50x10', '50x10'],
    ['300x10', '64x10'],
    ['1x70', '1x64'],
  ] as const
  for (const [i, [size]] of sizes.entries()) {
    const [width = 0, height = 0] = size.split('x').map(Number)
    await picture(join(folder, `${i}.png`), [9, 9, 9], width, height)
  }
  const wide = Buffer.from(
    Array.from({ length: 1280 * 128 }, (_, i) =>
      Math.min(255, Math.max(0, ((i % 1280) - 384) / 2)),
    ),
  )
  await sharp(wide, { raw: { width: 1280, height: 128, channels: 1 } })
    .withMetadata({ orientation: 6 })
    .png()
    .toFile(join(folder, 'turned.png'))
  const { train } = await opened(folder, { cache, originals: 32 })
  const extents = [...(train.originals?.extents ?? [])]
  assert.equal(
    sizes.map((_, i) => `${extents[2 * i + 1]}x${extents[2 * i]}`),
    sizes.map(([, kept]) => kept),
  )
  assert.equal(extents.slice(-2), [64, 16])
  assert.equal(train.originals?.image, { height: 64, width: 64, channels: 3 })
  // of 160 rows the middle 64, from 48 on
  const whole = new Uint8Array(64 * 64 * 3)
  await train.originals?.read([sizes.length], whole)
  assert.equal(
    [0, 20, 40].map((y) => Math.round((whole[y * 192] ?? 0) / 10)),
    [0, 8, 16],
  )
  assert.is(
    (await opened(folder, { cache: `${cache}-1`, originals: 1 })).train.originals?.image.width,
    1,
  )
})

test('a damaged image is skipped by name, and what is left is used', async ({ folder, cache }) => {
  for (let i = 0; i < 4; i++) await picture(join(folder, `${i}.jpg`), [9, 9, 9], 64, 64)
  await truncate(join(folder, '1.jpg'), (await readFile(join(folder, '1.jpg'))).length - 60)
  await writeFile(join(folder, '4.png'), 'not an image')
  await writeFile(join(folder, '5.webp'), '')
  await symlink(join(folder, 'nowhere.jpg'), join(folder, '6.jpg'))
  const { train, test: held } = await opened(folder, { cache })
  assert.is(train.size + held.size, 3)
  assert.equal(train.skipped.map(({ file }) => file).sort(), ['1.jpg', '4.png', '5.webp', '6.jpg'])
  for (const { reason } of train.skipped)
    assert.ok(reason.length > 0 && !reason.includes('\n'), reason)
})

test('a folder in which no image can be decoded is no class', async ({ folder, cache }) => {
  for (const path of ['cat/1.png', 'cat/2.png', 'dog/1.png', 'dog/2.png'])
    await picture(join(folder, path))
  await mkdir(join(folder, 'cow'))
  await writeFile(join(folder, 'cow/1.png'), 'no')
  const { train, test: held } = await opened(folder, { cache })
  assert.equal(train.classes, ['cat', 'dog'])
  assert.equal([...(train.labels ?? []), ...(held.labels ?? [])], [0, 1, 0, 1])
})

test('a folder of no use is refused in words', async ({ folder, cache }) => {
  const refused = (path: string, options = {}) => refusal(() => opened(path, { cache, ...options }))
  assert.is(
    await refused(folder),
    `folder: ${folder} must hold images (.jpg .jpeg .jfif .png .webp .gif .tif .tiff .bmp .avif), found none at any depth`,
  )
  assert.is(
    await refused(join(folder, 'nowhere')),
    `folder: ${join(folder, 'nowhere')} does not exist; give a folder of images`,
  )
  assert.is(
    await refused(`${folder}s`),
    `folder: ${folder}s does not exist; did you mean ${folder}?`,
  )
  await writeFile(join(folder, 'a.png'), 'not an image')
  const file = join(folder, 'a.png')
  assert.is(await refused(file), `folder: ${file} must be a folder of images, got a file`)
  assert.match(
    await refused(folder),
    /^folder: .*: its one image cannot be decoded; the first: a\.png: is of an unknown format, not an image of a format that is read \(JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF\)$/,
  )
  await picture(join(folder, 'b.png'))
  assert.is(
    await refused(folder, { size: 0 }),
    'folder: size must be a positive number of pixels, got 0',
  )
  assert.is(
    await refused(folder, { testShare: 1 }),
    'folder: testShare must be at least 0 and less than 1, got 1',
  )
  assert.match(
    await refused(folder, { worker: new URL('file:///no/such/worker.js') }),
    /^folder: a decoding thread failed: /,
  )
})

test('a data set is named by its kind', async ({ folder, cache }) => {
  await picture(join(folder, '1.png'))
  await picture(join(folder, '2.png'))
  const { train } = await openData(`folder:${folder}`, { cache, size: 4 })
  assert.equal([train.name, train.image.height], ['folder', 4])
  const drawn = await openData('procedural:20,10', { size: 16 })
  assert.equal([drawn.train.size, drawn.test.size, drawn.train.image.width], [20, 10, 16])
  assert.is((await openData('procedural')).train.size, 5000)
  const forms =
    'cifar10:PATH, cifar100:PATH, idx:PATH, stl10:PATH, stl10-unlabeled:PATH, folder:PATH, images:PATH, procedural or procedural:TRAIN,TEST'
  assert.is(
    await refusal(() => openData('mnist:x')),
    `data: must be one of ${forms}, got 'mnist:x'`,
  )
  assert.is(
    await refusal(() => openData(folder)),
    `data: must be one of ${forms}, got '${folder}'; for a folder of images, folder:${folder}`,
  )
  assert.is(await refusal(() => openData('idx')), 'data: idx needs a path, as in idx:PATH')
  assert.is(
    await refusal(() => openData('procedural:5')),
    `data: procedural takes two counts, as in procedural:5000,1000, got '5'`,
  )
})

test.run()
