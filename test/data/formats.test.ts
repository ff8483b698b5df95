import { execFileSync } from 'node:child_process'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { decodeBmp } from '../../data/bmp.ts'
import { openImages } from '../../data/image-folder.ts'
import { openData } from '../../data/open.ts'
import { troubleOf } from '../../data/paths.ts'
import { near, opened, picture, pictureSuite, pixels } from '../fixtures/images.ts'
import { refusal } from '../fixtures/refusal.ts'

const test = pictureSuite('formats')

const solid = { width: 16, height: 16, channels: 3 as const, background: '#0a64c8' }
const colour = [10, 100, 200] as const

interface BmpOptions {
  readonly compression?: number
  readonly masks?: readonly number[]
  readonly palette?: readonly (readonly number[])[]
  readonly topDown?: boolean
}

/** A BMP of 3 x 2 pixels, its rows as they lie in the file. */
function bmp(bits: number, rows: readonly (readonly number[])[], options: BmpOptions = {}): Buffer {
  const { compression = 0, masks = [], palette = [], topDown = false } = options
  const stride = 4 * Math.ceil((3 * bits) / 32)
  const start = 54 + 4 * (masks.length + palette.length)
  const file = Buffer.alloc(start + 2 * stride)
  file.write('BM')
  file.writeUInt32LE(file.length, 2)
  file.writeUInt32LE(start, 10)
  file.writeUInt32LE(40, 14)
  file.writeInt32LE(3, 18)
  file.writeInt32LE(topDown ? -2 : 2, 22)
  file.writeUInt16LE(1, 26)
  file.writeUInt16LE(bits, 28)
  file.writeUInt32LE(compression, 30)
  masks.forEach((mask, i) => file.writeUInt32LE(mask, 54 + 4 * i))
  palette.forEach((entry, i) => Buffer.from(entry).copy(file, 54 + 4 * (masks.length + i)))
  rows.forEach((row, i) => Buffer.from(row).copy(file, start + i * stride))
  return file
}

const [R, G, B] = [
  [255, 0, 0],
  [0, 255, 0],
  [0, 0, 255],
] as const
const expected = [R, G, B, B, R, G].flat() // the upper row, then the lower one

test('BMPs of every depth decode, from the bottom up and from the top down', () => {
  const same = (file: Buffer, what: string) => {
    const { width, height, channels, data } = decodeBmp(file)
    assert.equal([width, height, channels, ...data], [3, 2, 3, ...expected], what)
  }
  const bgr = { R: [0, 0, 255], G: [0, 255, 0], B: [255, 0, 0] }
  const lower = [...bgr.B, ...bgr.R, ...bgr.G]
  const upper = [...bgr.R, ...bgr.G, ...bgr.B]
  same(bmp(24, [lower, upper]), '24')
  same(bmp(24, [upper, lower], { topDown: true }), '24 top down')
  const four = (row: readonly number[]) => [0, 3, 6].flatMap((at) => [...row.slice(at, at + 3), 0])
  same(bmp(32, [four(lower), four(upper)]), '32')
  const palette = [bgr.R, bgr.G, bgr.B].map((entry) => [...entry, 0])
  same(
    bmp(
      8,
      [
        [2, 0, 1],
        [0, 1, 2],
      ],
      { palette },
    ),
    '8',
  )
  same(
    bmp(
      4,
      [
        [0x20, 0x10],
        [0x01, 0x20],
      ],
      { palette },
    ),
    '4',
  )
  const word = (value: number) => [value & 255, value >> 8]
  const fives = { R: word(0x7c00), G: word(0x3e0), B: word(0x1f) }
  same(
    bmp(16, [
      [...fives.B, ...fives.R, ...fives.G],
      [...fives.R, ...fives.G, ...fives.B],
    ]),
    '16',
  )
  const sixes = { R: word(0xf800), G: word(0x7e0), B: word(0x1f) }
  same(
    bmp(
      16,
      [
        [...sixes.B, ...sixes.R, ...sixes.G],
        [...sixes.R, ...sixes.G, ...sixes.B],
      ],
      {
        compression: 3,
        masks: [0xf800, 0x7e0, 0x1f],
      },
    ),
    '16 by masks',
  )
  const bits = decodeBmp(
    bmp(1, [[0b01000000], [0b10100000]], {
      palette: [
        [0, 0, 0, 0],
        [255, 255, 255, 0],
      ],
    }),
  )
  assert.equal(
    [...bits.data].filter((_, i) => i % 3 === 0),
    [255, 0, 255, 0, 255, 0],
  )
  const clear = decodeBmp(
    bmp(32, [[1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4], []], {
      compression: 6,
      masks: [0xff0000, 0xff00, 0xff, 0xff000000],
    }),
  )
  assert.equal([clear.channels, ...clear.data.subarray(12, 16)], [4, 3, 2, 1, 4])
})

test('BMPs that are cut short, impossible or of run lengths are refused in words', () => {
  const whole = bmp(24, [[], []])
  const told = (file: Buffer) => {
    try {
      decodeBmp(file)
    } catch (error) {
      return error instanceof Error ? error.message : ''
    }
    return 'decoded'
  }
  assert.is(told(whole.subarray(0, whole.length - 1)), 'is cut short: its BMP data end early')
  assert.is(
    told(bmp(8, [[], []], { compression: 1 })),
    'is a BMP of a kind that is not read (compression 1); save it as PNG',
  )
  const huge = Buffer.from(whole)
  huge.writeInt32LE(2 ** 30, 18)
  assert.is(told(huge), 'is too large: 1073741824 x 2 pixels, at most 268435456 are read')
})

test('images of every format decode, by what they hold whatever they are called', async ({
  folder,
  cache,
}) => {
  const image = () => sharp({ create: solid })
  await image().jpeg({ quality: 100 }).toFile(join(folder, '1.JFIF'))
  await image().tiff().toFile(join(folder, '2.tif'))
  await image().tiff({ compression: 'lzw' }).toFile(join(folder, '3.TIFF'))
  await image().gif().toFile(join(folder, '4.gif'))
  await image().avif({ quality: 90 }).toFile(join(folder, '5.avif'))
  await image().webp({ lossless: true }).toFile(join(folder, '6.webp'))
  const row = [200, 100, 10, 200, 100, 10, 200, 100, 10]
  await writeFile(join(folder, '7.bmp'), bmp(24, [row, row]))
  await writeFile(join(folder, '8.jpg'), await image().png().toBuffer())
  await writeFile(join(folder, '9[1].png'), bmp(24, [row, row]))
  const frames = [colour, [0, 0, 0]].map((c) =>
    Buffer.from(Array.from({ length: 256 }, () => c).flat()),
  )
  await sharp(Buffer.concat(frames), {
    raw: { width: 16, height: 32, channels: 3, pageHeight: 16 },
  })
    .gif({ loop: 0, delay: [1, 1] })
    .toFile(join(folder, 'a.gif'))
  const images = await openImages(folder, { size: 8, cache })
  assert.equal(images.skipped, [])
  assert.is(images.size, 10)
  const all = await pixels(images)
  images.files.forEach((_, i) => near(all.subarray(i * 192), colour))
})

test('deep grey, grey with alpha, palettes and turned images decode rightly', async ({
  folder,
  cache,
}) => {
  await sharp(new Uint16Array(16 * 16).fill(25700), { raw: { width: 16, height: 16, channels: 1 } })
    .toColourspace('grey16')
    .png()
    .toFile(join(folder, '1.png'))
  await sharp(Buffer.from(Array.from({ length: 256 }, () => [100, 0]).flat()), {
    raw: { width: 16, height: 16, channels: 2 },
  })
    .png()
    .toFile(join(folder, '2.png'))
  await sharp({ create: solid }).png({ palette: true }).toFile(join(folder, '3.png'))
  await sharp(new Uint16Array(16 * 16 * 4).fill(0), { raw: { width: 16, height: 16, channels: 4 } })
    .toColourspace('rgb16')
    .png()
    .toFile(join(folder, '4.png'))
  // its left half red as it lies in the file; turned to the right, red is above
  const sides = Buffer.from(
    Array.from({ length: 256 }, (_, i) => (i % 16 < 8 ? [250, 0, 0] : [0, 0, 250])).flat(),
  )
  await sharp(sides, { raw: { width: 16, height: 16, channels: 3 } })
    .withMetadata({ orientation: 6 })
    .jpeg({ quality: 100, chromaSubsampling: '4:4:4' })
    .toFile(join(folder, '5.jpg'))
  const images = await openImages(folder, { size: 8, cache })
  assert.equal(images.skipped, [])
  const all = await pixels(images)
  near(all, [100, 100, 100])
  near(all.subarray(192), [255, 255, 255])
  near(all.subarray(2 * 192), colour)
  near(all.subarray(3 * 192), [255, 255, 255])
  near(all.subarray(4 * 192), [250, 0, 0])
  near(all.subarray(4 * 192 + 7 * 8 * 3), [0, 0, 250])
})

test('the reason a file is damaged depends on the file alone', async ({ folder, cache }) => {
  for (const name of ['1.jpg', '2.png', '3.webp'])
    await picture(join(folder, name), [9, 90, 9], 64, 64)
  const [jpeg, png, webp] = await Promise.all(
    ['1.jpg', '2.png', '3.webp'].map((name) => readFile(join(folder, name))),
  )
  const damaged = Buffer.from(png ?? [])
  damaged.fill(0x55, 40, damaged.length - 12)
  const bad: Readonly<Record<string, Uint8Array | string>> = {
    'cut.jpg': jpeg?.subarray(0, -20) ?? '',
    'cut.png': png?.subarray(0, 60) ?? '',
    'cut.webp': webp?.subarray(0, 40) ?? '',
    'damaged.png': damaged,
    'empty.gif': '',
    'vector.png': '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    'page.jpg': '<!DOCTYPE html><html>404</html>',
    'lfs.jpg': 'version https://git-lfs.github.com/spec/v1\n',
  }
  for (let i = 0; i < 4; i++)
    for (const [name, bytes] of Object.entries(bad))
      await writeFile(join(folder, `${i}-${name}`), bytes)
  const told = async (workers: number) =>
    (await openImages(folder, { size: 8, cache: `${cache}-${workers}`, workers })).skipped
  const one = await told(1)
  assert.equal(await told(4), one)
  const read = 'not an image of a format that is read (JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF)'
  assert.equal(
    Object.fromEntries(one.slice(0, 8).map(({ file, reason }) => [file.slice(2), reason])),
    {
      'cut.jpg': 'is cut short: its JPEG data end early',
      'cut.png': 'is cut short: its PNG data end early',
      'cut.webp': 'is cut short: its WebP data end early',
      'damaged.png': 'is damaged: its PNG data cannot be decoded',
      'empty.gif': 'is empty',
      'lfs.jpg': `holds a Git LFS pointer, ${read}`,
      'page.jpg': `holds HTML, ${read}`,
      'vector.png': `holds SVG, ${read}`,
    },
  )
})

test('what is no file is left out in words, and nothing waits for it', async ({
  folder,
  cache,
}) => {
  if (process.platform === 'win32') return
  await picture(join(folder, 'a/1.jpg'))
  await picture(join(folder, 'b/1.jpg'))
  await picture(join(folder, 'a/__MACOSX/._1.jpg'))
  execFileSync('mkfifo', [join(folder, 'a/pipe.jpg')])
  await symlink('nowhere', join(folder, 'a/gone'))
  await symlink('circle', join(folder, 'circle'))
  await symlink('..', join(folder, 'b/up'))
  await symlink('a', join(folder, 'c'))
  await writeFile(join(folder, 'a/Thumbs.db'), '')
  await mkdir(join(folder, 'a/folder.jpg'))
  const server = createServer()
  await new Promise<void>((resolve) => void server.listen(join(folder, 'b/socket.png'), resolve))
  try {
    const { train, about } = await opened(folder, { cache })
    assert.equal(train.classes, ['a', 'b'])
    assert.equal(about?.others, [])
    const reasons = train.skipped.map(({ file, reason }) => `${file} ${reason}`)
    assert.equal(reasons, [
      'a/gone is a link to nowhere, which does not exist',
      'a/pipe.jpg is a pipe, not a file',
      'b/socket.png is a socket, not a file',
      'b/up is a link back to a folder that it is in',
      'c leads to the folder a, which is read there already',
      'circle cannot be reached: its links lead in a circle',
    ])
  } finally {
    server.close()
  }
})

test('every kind of data says what stands at its path', async ({ folder }) => {
  if (process.platform === 'win32') return
  execFileSync('mkfifo', [join(folder, 'data_batch_1.bin'), join(folder, 'pipe')])
  await symlink('nowhere', join(folder, 'gone'))
  await writeFile(join(folder, 'test_batch.bin'), new Uint8Array(3073))
  const told = (spec: string) => refusal(() => openData(spec))
  assert.is(
    await told(`cifar10:${folder}`),
    `cifar10: ${join(folder, 'data_batch_1.bin')} must be a file, got a pipe`,
  )
  const bins = 'the folder of the .bin files'
  for (const [kind, rule] of [
    ['cifar10', bins],
    ['cifar100', bins],
    ['idx', 'the folder of the idx files'],
    ['stl10', bins],
    ['folder', 'a folder of images'],
  ] as const) {
    assert.is(
      await told(`${kind}:${join(folder, 'gone')}`),
      `${kind}: ${join(folder, 'gone')} is a link to nowhere, which does not exist; give ${rule}`,
    )
    assert.match(await told(`${kind}:${join(folder, 'pipe')}`), / must be .*, got a pipe/)
    assert.is(
      await told(`${kind}:${join(folder, 'a\n\u001b[2J')}`),
      `${kind}: ${join(folder, 'a\\n\\x1b[2J')} does not exist; give ${rule}`,
    )
    assert.is(
      await told(`${kind}:${join(folder, 'test_batch.bin/x')}`),
      `${kind}: ${join(folder, 'test_batch.bin/x')} cannot be reached: part of the path is a file, not a folder`,
    )
  }
  const denied = Object.assign(new Error('as the system has it'), { code: 'EACCES' })
  assert.is(
    await troubleOf(denied, folder),
    'cannot be read: no permission; change its permissions, or ask its owner',
  )
})

test.run()
