// Pictures of a page: every kind that a page has becomes the same image, files upright, and what is
// none is named.

import type { Page } from 'playwright-core'
import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { bundled } from '../fixtures/browser.ts'
import { pageSuite } from '../fixtures/page-suite.ts'

const test = pageSuite('pictures in a page')

const [W, H] = [48, 36]

/** A picture of four quarters and a half-transparent corner, as PNG. */
async function drawn(): Promise<Buffer> {
  const rgba = new Uint8Array(W * H * 4)
  for (let i = 0; i < W * H; i++) {
    const [x, y] = [i % W, Math.floor(i / W)]
    const corner = x >= 36 && y >= 24
    rgba.set([x < 24 ? 250 : 20, y < 18 ? 200 : 40, 90, corner ? 128 : 255], 4 * i)
  }
  return sharp(rgba, { raw: { width: W, height: H, channels: 4 } })
    .png()
    .toBuffer()
}

const page = async () => ({
  '/index.html': '<!doctype html><link rel="icon" href="data:,">',
  '/pictures.js': await bundled(`export * from './test/page/pictures.page.js'`),
})

interface Skipped {
  readonly file: string
  readonly reason: string
}

/** What the programs of a page return. */
interface Programs {
  everyKind: { values: number[]; skipped: Skipped[]; alive: number[] }
  uprightFiles: { images: number[][]; skipped: Skipped[]; files: string[] }
  wideAndMany: { values: number[]; most: number; open: number; size: number }
}

/** Runs one of the programs of pictures.page.js in a page. */
const inPage = <Name extends keyof Programs>(tab: Page, name: Name, given: unknown) =>
  tab.evaluate(
    async ([program, value]) => {
      const from = '/pictures.js'
      const programs = (await import(from)) as Record<string, (given: unknown) => unknown> // as it exports
      return await programs[program]?.(value)
    },
    [name, given] as const,
  ) as Promise<Programs[Name]> // as that program returns

/** The means of the four quarters of an image [S, S, 3], inside of them. */
function quarters(image: readonly number[], size: number): number[][] {
  const half = size / 2
  return [
    [0, 0],
    [half, 0],
    [0, half],
    [half, half],
  ].map(([left = 0, top = 0]) =>
    [0, 1, 2].map((c) => {
      const [x, y] = [left + half / 2, top + half / 2].map(Math.floor) as [number, number]
      return image[(y * size + x) * 3 + c] ?? NaN
    }),
  )
}

test('a bitmap, a canvas, a frame, an element, a file and bytes give one image', async ({
  open,
}) => {
  const png = await drawn()
  const { page: tab, complaints } = await open('dist', await page())
  const made = await inPage(tab, 'everyKind', [png.toString('base64'), 12])
  assert.equal([made.skipped, made.alive], [[], [W, W]])
  const theirs = await sharp(png)
    .resize(12, 12, { fit: 'cover' })
    .flatten({ background: '#fff' })
    .raw()
    .toBuffer()
  for (let n = 0; n < 8; n++) {
    const image = made.values.slice(n * 432, (n + 1) * 432)
    const apart = image.map((value, i) => Math.abs(value - (theirs[i] ?? NaN)))
    const mean = apart.reduce((a, b) => a + b, 0) / 432
    assert.ok(mean < 2, `picture ${n} differs from sharp's by ${mean} of 255`)
  }
  assert.equal(complaints, [])
})

test('files are upright, and what is no picture is named', async ({ open }) => {
  const upright = await sharp(await drawn())
    .flatten({ background: '#fff' })
    .jpeg({ quality: 95 })
    .toBuffer()
  const turned: string[] = []
  for (let orientation = 1; orientation <= 8; orientation++) {
    // sharp turns it back by the orientation that it is told to have
    const stored = await sharp(upright)
      .rotate({ 3: 180, 6: 270, 8: 90 }[orientation] ?? 0)
      .toBuffer()
    if ([1, 3, 6, 8].includes(orientation))
      turned.push(
        (
          await sharp(stored).withMetadata({ orientation }).jpeg({ quality: 95 }).toBuffer()
        ).toString('base64'),
      )
  }
  const { page: tab, complaints } = await open('dist', await page())
  const made = await inPage(tab, 'uprightFiles', turned)
  assert.equal(made.files, ['0.jpg', '1.jpg', '2.jpg', '3.jpg'])
  const expected = [
    [250, 200, 90],
    [20, 200, 90],
    [250, 40, 90],
    [20, 40, 90],
  ]
  for (const [n, image] of made.images.entries())
    for (const [q, color] of quarters(image, 12).entries())
      for (const [c, value] of color.entries())
        if (q < 3)
          assert.ok(Math.abs(value - (expected[q]?.[c] ?? NaN)) < 6, `${n} ${q} ${c}: ${value}`)
  assert.equal(
    made.skipped.map(({ file, reason }) => `${file}: ${reason}`),
    [
      'notes.jpg: is of an unknown format, not an image of a format that is read (JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF)',
      'empty.jpg: is empty',
      'paper.jpg: holds PDF, not an image of a format that is read (JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF)',
      'cut.jpg: is cut short: its JPEG data end early, or it is too large for this browser',
      'a.svg: this browser decodes no SVG; convert it to JPEG, PNG or WebP',
      'picture 9: data has no bytes; was its buffer transferred to a worker?',
      'picture 10: width must be a whole number from 1 on, got 0; was it closed, or has it not loaded yet?',
    ],
  )
  assert.equal(complaints, [])
})

test('a picture wider than a texture is read, and many files hold few bitmaps', async ({
  open,
}) => {
  const { page: tab, complaints } = await open('dist', await page())
  const made = await inPage(tab, 'wideAndMany', null)
  assert.ok(
    made.values.every((value, i) => Math.abs(value - ([200, 100, 50][i % 3] ?? NaN)) <= 1),
    String(made.values),
  )
  assert.ok(made.most <= 4, `${made.most} bitmaps at a time`)
  assert.equal([made.open, made.size], [0, 200])
  assert.equal(complaints, [])
})

test.run()
