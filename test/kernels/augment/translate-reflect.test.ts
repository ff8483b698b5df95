// Tests the augmentations of AMDIM's recipes: a flip shared by the views, translation with
// reflection, bicubic resampling.

import * as assert from 'uvu/assert'
import { drawAugmentations } from '../../../kernels/augment/augment.ts'
import { unpackAugmentations } from '../../../kernels/augment/parameters.ts'
import { type Recipe, augment } from '../../../kernels/augment/augment.ts'
import { slice } from '../../../kernels/shape/slice.ts'
import { translateReflect } from '../../../kernels/augment/translate-reflect.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('AMDIM augmentation')

const pictures = (N: number, H: number, W: number) => random(N * H * W * 3).map((v) => (v + 1) / 2)

const drawn = async (gpu: Gpu, recipe: Recipe, N: number, view: number) =>
  unpackAugmentations(
    await gpu.read(
      drawAugmentations(gpu.tensor(pictures(N, 8, 8), [N, 8, 8, 3]), recipe, {
        seed: 4,
        step: 7,
        view,
      }),
    ),
  )

test('a shared flip is one for both views, and the rest is not', async ({ gpu }) => {
  const recipe = { flip: 0.5, sharedFlip: true, grayscale: 0.5 }
  const [one, two] = [await drawn(gpu, recipe, 64, 0), await drawn(gpu, recipe, 64, 1)]
  assert.equal(
    one.map((a) => a.flip),
    two.map((a) => a.flip),
  )
  const flips = one.filter((a) => a.flip).length
  assert.ok(flips > 16 && flips < 48, `${flips} of 64`)
  assert.not.equal(
    one.map((a) => a.grayscale),
    two.map((a) => a.grayscale),
  )
  const own = await drawn(gpu, { ...recipe, sharedFlip: false }, 64, 1)
  assert.not.equal(
    one.map((a) => a.flip),
    own.map((a) => a.flip),
  )
})

test('a translation is that of translateReflect, by every shift up to its pixels', async ({
  gpu,
}) => {
  const [N, side] = [48, 8]
  const recipe = { translate: { p: 0.8, pixels: 4 } }
  const x = gpu.tensor(pictures(N, side, side), [N, side, side, 3])
  const at = { seed: 3, step: 5, view: 1 }
  const moved = augment(x, recipe, at)
  const rows = unpackAugmentations(await gpu.read(drawAugmentations(x, recipe, at)))
  const shifts = rows.map(({ crop }) => [-(crop?.left ?? NaN), -(crop?.top ?? NaN)] as const)
  for (const [n, [dx, dy]] of shifts.entries())
    assert.equal(
      await gpu.read(slice(moved, 0, n, n + 1)),
      await gpu.read(translateReflect(slice(x, 0, n, n + 1), dx, dy)),
      `${n}: ${dx}, ${dy}`,
    )
  const seen = new Set(shifts.flat())
  assert.equal(
    [...seen].map((v) => v + 0).sort((a, b) => a - b),
    [-4, -3, -2, -1, 0, 1, 2, 3, 4],
  )
  const still = shifts.filter(([dx, dy]) => dx === 0 && dy === 0).length
  assert.ok(still > 3 && still < 20, `${still} of ${N} stand still`) // 0.2 and a little
})

/** Pillow's bicubic weights of one output pixel over a line of `size` (Keys with a = -1/2). */
function weights(i: number, count: number, size: number): [from: number, w: number[]] {
  const scale = size / count
  const reach = Math.max(scale, 1)
  const center = (i + 0.5) * scale
  const [from, end] = [
    Math.max(Math.floor(center - 2 * reach + 0.5), 0),
    Math.min(Math.floor(center + 2 * reach + 0.5), size),
  ]
  const keys = (x: number) => {
    const d = Math.abs(x)
    if (d < 1) return 1.5 * d ** 3 - 2.5 * d ** 2 + 1
    return d < 2 ? -0.5 * d ** 3 + 2.5 * d ** 2 - 4 * d + 2 : 0
  }
  const raw = Array.from({ length: end - from }, (_, k) => keys((from + k + 0.5 - center) / reach))
  const sum = raw.reduce((a, b) => a + b, 0)
  return [from, raw.map((v) => v / sum)]
}

test("bicubic resampling is two passes of Pillow's weights, then clipped", async ({ gpu }) => {
  for (const [H, W, size] of [
    [6, 9, [12, 9]],
    [20, 14, [7, 5]],
    [8, 8, [8, 8]],
  ] as const) {
    const values = pictures(1, H, W)
    const [h, w] = size
    const got = await gpu.read(
      augment(
        gpu.tensor(values, [1, H, W, 3]),
        { size, resample: 'bicubic' },
        { seed: 0, step: 0, view: 0 },
      ),
    )
    const expected = Array.from({ length: h * w * 3 }, (_, e) => {
      const [c, j, i] = [e % 3, Math.floor(e / 3) % w, Math.floor(e / 3 / w)]
      const [top, down] = weights(i, h, H)
      const [left, right] = weights(j, w, W)
      let sum = 0
      for (const [y, a] of down.entries())
        for (const [x, b] of right.entries())
          sum += a * b * (values[((top + y) * W + left + x) * 3 + c] ?? NaN)
      return Math.min(1, Math.max(0, sum))
    })
    close(got, expected, 2e-6, `${H} x ${W}`)
  }
})

test('a bicubic crop is cut first, and the middle of a resized image is not', async ({ gpu }) => {
  const x = gpu.tensor(pictures(2, 12, 12), [2, 12, 12, 3])
  const at = { seed: 1, step: 2, view: 0 }
  const recipe = { size: 6, crop: { scale: [0.3, 1] as const }, resample: 'bicubic' as const }
  const rows = unpackAugmentations(await gpu.read(drawAugmentations(x, recipe, at)))
  const whole = await gpu.read(augment(x, recipe, at))
  for (const [n, { crop }] of rows.entries()) {
    const { top = 0, left = 0, height = 0, width = 0 } = crop ?? {}
    const cut = slice(slice(slice(x, 0, n, n + 1), 1, top, top + height), 2, left, left + width)
    const alone = await gpu.read(augment(cut, { size: 6, resample: 'bicubic' }, at))
    close(whole.subarray(n * 108, (n + 1) * 108), alone, 2e-6, `image ${n}`)
  }
  const middle = { size: 4, centerCrop: { resize: 6 }, resample: 'bicubic' as const }
  const resized = augment(x, { size: 6, resample: 'bicubic' }, at)
  close(
    await gpu.read(augment(x, middle, at)),
    await gpu.read(slice(slice(resized, 1, 1, 5), 2, 1, 5)),
    2e-6,
    'middle',
  )
})

test.run()
