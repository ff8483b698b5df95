// Resizing against float64 sums over the whole image, and against sharp.

import sharp from 'sharp'
import * as assert from 'uvu/assert'
import { resizeImages } from '../../../kernels/resample/resize-images.ts'
import type { Fit } from '../../../kernels/resample/fit.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { call, refusesAll } from '../../fixtures/misuse.ts'
import { threefry2x32 } from '../../../kernels/wgsl/threefry.ts'

const test = gpuSuite('resizeImages')

const bytes = (count: number, seed = 1) =>
  Uint8Array.from({ length: count }, (_, i) => threefry2x32([seed, 7], [i, 0])[0] & 255)

/** Lanczos's filter with three lobes, by its definition. */
const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x))
const filter = (x: number) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0)

interface Line {
  readonly size: number
  readonly count: number
  /** The first pixel's edge, and pixels for each of the result. */
  readonly from: number
  readonly scale: number
  /** Pixels of the border, and of what is shown. */
  readonly border: number
  readonly shown: number
}

/** The weights of all pixels of a line for pixel i of the result; none in its border. */
function weights({ size, from, scale, border, shown }: Line, i: number): number[] {
  if (i < border || i >= border + shown) return []
  const centre = from + (i - border + 0.5) * scale
  const all = Array.from({ length: size }, (_, k) =>
    filter((k + 0.5 - centre) / Math.max(1, scale)),
  )
  const total = all.reduce((a, b) => a + b, 0)
  return all.map((weight) => weight / total)
}

function line(size: number, count: number, scale: number): Line {
  const shown = Math.max(1, Math.round(Math.min(count, size * scale)))
  const length = Math.min(size, count / scale)
  const border = Math.floor((count - shown) / 2)
  return { size, count, from: (size - length) / 2, scale: length / shown, border, shown }
}

/** The images before rounding, in [0, 255] where the filter does not overshoot. */
function reference(
  x: Uint8Array,
  [N, H, W, C]: readonly [number, number, number, number],
  [h, w]: readonly [number, number],
  fit: Fit,
): number[] {
  const [sx, sy] = [w / W, h / H]
  const one = fit === 'cover' ? Math.max(sx, sy) : Math.min(sx, sy)
  const across = line(W, w, fit === 'fill' ? sx : one)
  const down = line(H, h, fit === 'fill' ? sy : one)
  const onWhite = (at: number, c: number) => {
    const alpha = C === 4 ? (x[at + 3] ?? 0) / 255 : 1
    return (x[at + c] ?? 0) * alpha + 255 * (1 - alpha)
  }
  const allRows = Array.from({ length: h }, (_, i) => weights(down, i))
  const allColumns = Array.from({ length: w }, (_, j) => weights(across, j))
  const result: number[] = []
  for (let n = 0; n < N; n++)
    for (let i = 0; i < h; i++)
      for (let j = 0; j < w; j++) {
        const [rows, columns] = [allRows[i] ?? [], allColumns[j] ?? []]
        for (let c = 0; c < 3; c++) {
          let sum = rows.length === 0 || columns.length === 0 ? 255 : 0
          for (const [r, a] of rows.entries())
            for (const [q, b] of columns.entries())
              sum += a * b * onWhite(((n * H + r) * W + q) * C, c)
          result.push(sum)
        }
      }
  return result
}

const cases: readonly [
  string,
  readonly [number, number, number, number],
  readonly [number, number],
][] = [
  ['a fraction of its size', [2, 17, 23, 4], [5, 5]],
  ['RGB, whose rows are no whole words', [3, 11, 7, 3], [3, 3]],
  ['larger', [1, 3, 4, 4], [9, 11]],
  ['one pixel', [1, 1, 1, 4], [3, 3]],
  ['to one pixel', [2, 40, 9, 3], [1, 1]],
  ['its own size', [1, 6, 6, 4], [6, 6]],
  ['a thread block and more', [1, 30, 60, 4], [9, 33]],
]

for (const [what, shape, size] of cases)
  for (const fit of ['cover', 'contain', 'fill'] as const)
    test(`${what}, ${fit}`, async ({ gpu }) => {
      const x = bytes(shape.reduce((a, b) => a * b, 1))
      const made = resizeImages(gpu.tensor(x, shape), { size, fit })
      assert.equal([made.dtype, ...made.shape], ['u8', shape[0], ...size, 3])
      const got = await gpu.read(made)
      const expected = reference(x, shape, size, fit)
      assert.is(got.length, expected.length)
      for (const [i, value] of expected.entries()) {
        const limited = Math.min(255, Math.max(0, value))
        assert.ok(Math.abs((got[i] ?? NaN) - limited) <= 0.501, `${i}: ${got[i]}, ${value}`)
      }
    })

test("sharp's own resizing gives nearly the same bytes", async ({ gpu }) => {
  const [H, W] = [60, 90]
  const smooth = Uint8Array.from({ length: H * W * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % W, Math.floor(i / 3 / W)]
    return 128 + 80 * Math.sin(x / 6 + (i % 3)) * Math.cos(y / 5)
  })
  const got = await gpu.read(resizeImages(gpu.tensor(smooth, [1, H, W, 3]), { size: 20 }))
  const raw = { width: W, height: H, channels: 3 } as const
  const theirs = await sharp(smooth, { raw }).resize(20, 20, { fit: 'cover' }).raw().toBuffer()
  const apart = got.reduce((sum, value, i) => sum + Math.abs(value - (theirs[i] ?? 0)), 0)
  assert.ok(apart / got.length < 1, `${apart / got.length} of 255 on average`)
})

test('what cannot be resized is refused in words', async ({ gpu }) => {
  const x = gpu.tensor(bytes(48), [1, 4, 4, 3])
  const resize = (...given: readonly unknown[]) => call(resizeImages, ...given)
  await refusesAll([
    [
      'grey',
      () => resize(gpu.tensor(bytes(16), [1, 4, 4, 1]), { size: 2 }),
      'resizeImages: x must have 3 channels, RGB, or 4, RGBA, got [1, 4, 4, 1]',
    ],
    [
      'no pixel',
      () => resize(gpu.tensor(bytes(0), [1, 0, 4, 3]), { size: 2 }),
      'resizeImages: an image must have a pixel at least, got [1, 0, 4, 3]',
    ],
    [
      'floats',
      () => resize(gpu.tensor(new Float32Array(48), [1, 4, 4, 3]), { size: 2 }),
      'resizeImages: x must be u8, got f32 [1, 4, 4, 3]',
    ],
    [
      'no size',
      () => resize(x, {}),
      'resizeImages: size is missing; it must be a whole number from 1 on, or an array of whole numbers from 1 on',
    ],
    [
      'three sizes',
      () => resize(x, { size: [2, 2, 3] }),
      'resizeImages: size must be [height, width], got [2, 2, 3]',
    ],
    [
      'an unknown fit',
      () => resize(x, { size: 2, fit: 'inside' }),
      "resizeImages: fit must be 'cover', 'contain' or 'fill', got 'inside'",
    ],
  ])
})

test.run()
