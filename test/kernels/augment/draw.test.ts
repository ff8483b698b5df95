// Tests the random choices of augmentation, read from the table that the draw kernel writes.

import * as assert from 'uvu/assert'
import { unpackAugmentations } from '../../../kernels/augment/parameters.ts'
import { type Recipe, cifarRecipe } from '../../../kernels/augment/recipes.ts'
import { type Sampling, augment, drawAugmentations } from '../../../kernels/augment/augment.ts'
import { threefry2x32, uniform01 } from '../../../kernels/wgsl/threefry.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('augment-draw')

const at = { seed: 7, step: 3, view: 1 }

/** What was drawn for N samples of images [H, W]. */
async function drawn(
  gpu: Gpu,
  recipe: Recipe,
  [N, H, W]: [number, number, number],
  where: Sampling = at,
) {
  const images = gpu.tensor(new Uint8Array(N * H * W * 3), [N, H, W, 3])
  return unpackAugmentations(await gpu.read(drawAugmentations(images, recipe, where)))
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length
const near = (got: number, want: number, margin: number, what: string) =>
  assert.ok(
    Math.abs(got - want) <= margin,
    `${what}: got ${got}, expected ${want} within ${margin}`,
  )

test('draws flips, greys, jitters and blurs as often as the recipe says', async ({ gpu }) => {
  const N = 2000
  const rows = await drawn(gpu, { ...cifarRecipe(), blur: { p: 0.4, kernel: 3 } }, [N, 8, 8])
  const share = (of: (a: (typeof rows)[number]) => unknown) =>
    mean(rows.map((a) => Number(Boolean(of(a)))))
  const margin = 4 * Math.sqrt(0.25 / N) // four standard deviations of the widest
  near(
    share((a) => a.flip),
    0.5,
    margin,
    'flip',
  )
  near(
    share((a) => a.grayscale),
    0.2,
    margin,
    'grey',
  )
  near(
    share((a) => a.jitter?.length),
    0.8,
    margin,
    'jitter',
  )
  near(
    share((a) => a.blur),
    0.4,
    margin,
    'blur',
  )
  near(
    share((a) => a.flip && a.grayscale),
    0.1,
    margin,
    'flip and grey are independent',
  )
  near(
    share((a) => a.flip && a.jitter?.length),
    0.4,
    margin,
    'flip and jitter are independent',
  )
  const sigmas = rows.flatMap((a) => a.blur ?? [])
  assert.ok(Math.min(...sigmas) >= 0.1 && Math.max(...sigmas) <= 2)
  near(mean(sigmas), 1.05, 0.1, 'mean sigma')
})

test('draws factors over their whole range and all 24 orders alike', async ({ gpu }) => {
  const jitter = { brightness: 0.4, contrast: 1.5, saturation: 0.4, hue: 0.1 }
  const rows = await drawn(gpu, { jitter }, [2400, 4, 4])
  const ranges = {
    brightness: [0.6, 1.4],
    contrast: [0, 2.5],
    saturation: [0.6, 1.4],
    hue: [-0.1, 0.1],
  }
  for (const [kind, [low = 0, high = 0]] of Object.entries(ranges)) {
    const factors = rows.map((a) => a.jitter?.find(([k]) => k === kind)?.[1] ?? NaN)
    assert.ok(
      Math.min(...factors) >= Math.fround(low) && Math.max(...factors) <= Math.fround(high),
      kind,
    )
    assert.ok(Math.min(...factors) < low + 0.01 * (high - low), `${kind} comes near its least`)
    assert.ok(Math.max(...factors) > high - 0.01 * (high - low), `${kind} comes near its most`)
    near(mean(factors), (low + high) / 2, 0.03 * (high - low), kind)
  }
  const orders = new Map<string, number>()
  for (const a of rows) {
    const order = a.jitter?.map(([kind]) => kind).join() ?? ''
    orders.set(order, (orders.get(order) ?? 0) + 1)
  }
  assert.is(orders.size, 24)
  let chiSquare = 0
  for (const count of orders.values()) chiSquare += (count - 100) ** 2 / 100
  assert.ok(
    chiSquare < 49.7,
    `chi-square of 23 degrees is ${chiSquare}, beyond 49.7 once in a thousand`,
  )
})

test('an adjustment without a range is not made, as in torchvision', async ({ gpu }) => {
  const rows = await drawn(gpu, { jitter: { saturation: 0.2, hue: 0.1 } }, [100, 4, 4])
  for (const { jitter } of rows)
    assert.equal(jitter?.map(([kind]) => kind).sort(), ['hue', 'saturation'])
})

test('crops as RandomResizedCrop.get_params', async ({ gpu }) => {
  const [N, H, W] = [2000, 61, 47]
  const [low, high] = [0.08, 1]
  const boxes = (await drawn(gpu, { size: 8, crop: {} }, [N, H, W])).map(({ crop }) => crop)
  const areas: number[] = []
  const ratios: number[] = []
  const offCentre: number[] = []
  for (const box of boxes) {
    assert.ok(box)
    if (!box) continue
    const { top, left, height, width } = box
    assert.ok([top, left, height, width].every(Number.isInteger))
    assert.ok(
      top >= 0 && left >= 0 && height > 0 && width > 0 && top + height <= H && left + width <= W,
    )
    areas.push((height * width) / (H * W))
    ratios.push(width / height)
    if (height < H) offCentre.push(top / (H - height) - 0.5)
  }
  assert.ok(
    Math.min(...areas) > low - 0.02 && Math.max(...areas) <= high,
    'areas keep to the scale, but for rounding',
  )
  assert.ok(Math.min(...ratios) > 3 / 4 - 0.05 && Math.max(...ratios) < 4 / 3 + 0.07, 'ratios')
  near(mean(offCentre), 0, 0.03, 'the place is centred on average')
  const reference = expectedCrops(H, W)
  near(mean(areas), mean(reference.areas), 0.025, 'mean area')
  near(mean(ratios.map(Math.log)), mean(reference.logRatios), 0.02, 'mean log ratio')
})

/** Areas and log ratios of crops by torchvision's algorithm, from a generator of its own. */
function expectedCrops(H: number, W: number) {
  const u = random(400_000, 5).map((v) => (v + 1) / 2)
  let next = 0
  const draw = () => u[next++] ?? NaN
  const crops = Array.from({ length: 10_000 }, () => cropOf(() => [draw(), draw()], H, W))
  return {
    areas: crops.map(({ height, width }) => (height * width) / (H * W)),
    logRatios: crops.map(({ height, width }) => Math.log(width / height)),
  }
}

test('a crop that never fits falls back to the middle within its ratios', async ({ gpu }) => {
  const box = async (H: number, W: number) =>
    (await drawn(gpu, { size: 4, crop: { scale: [1, 1] } }, [1, H, W]))[0]?.crop
  assert.equal(await box(9, 40), { top: 0, left: 14, height: 9, width: 12, open: false })
  assert.equal(await box(40, 9), { top: 14, left: 0, height: 12, width: 9, open: false })
})

test('draw d of sample s is Threefry at [s, d] under the key of seed, step and view', async ({
  gpu,
}) => {
  const [H, W] = [40, 40]
  const rows = await drawn(gpu, { ...cifarRecipe(), blur: {} }, [50, H, W], { ...at, offset: 1000 })
  const key = threefry2x32([at.seed, 0x617567], [at.step, at.view])
  const uniforms = (sample: number, draw: number) => {
    const [x, y] = threefry2x32(key, [sample, draw])
    return [uniform01(x), uniform01(y)] as const
  }
  for (const [n, row] of rows.entries()) {
    const sample = 1000 + n
    const [flip, grey] = uniforms(sample, 11)
    const [jitter] = uniforms(sample, 12)
    const [saturation, hue] = uniforms(sample, 14)
    assert.is(row.flip, flip < 0.5, `flip of ${n}`)
    assert.is(row.grayscale, grey < 0.2, `grey of ${n}`)
    assert.is(row.jitter?.length, jitter < 0.8 ? 4 : 0, `jitter of ${n}`)
    near(row.blur ?? NaN, 0.1 + 1.9 * uniforms(sample, 15)[1], 1e-6, `sigma of ${n}`)
    for (const [kind, factor] of row.jitter ?? []) {
      if (kind === 'hue') near(factor, 0.2 * hue - 0.1, 1e-6, `hue of ${n}`)
      if (kind === 'saturation') near(factor, 0.6 + 0.8 * saturation, 1e-6, `saturation of ${n}`)
    }
    assert.equal(
      row.crop,
      cropOf((draw) => uniforms(sample, draw), H, W),
      `crop of ${n}`,
    )
  }
})

/** RandomResizedCrop.get_params in float64, for images that a box always fits in. */
function cropOf(uniforms: (draw: number) => readonly [number, number], H: number, W: number) {
  for (let attempt = 0; attempt < 10; attempt++) {
    const [u, v] = uniforms(attempt)
    const area = H * W * (0.08 + 0.92 * u)
    const ratio = Math.exp(Math.log(3 / 4) + v * Math.log(16 / 9))
    const [width, height] = [
      Math.round(Math.sqrt(area * ratio)),
      Math.round(Math.sqrt(area / ratio)),
    ]
    if (width > W || height > H) continue
    const [y, x] = uniforms(10)
    return {
      top: Math.floor(y * (H - height + 1)),
      left: Math.floor(x * (W - width + 1)),
      height,
      width,
      open: false,
    }
  }
  throw new Error('no attempt fits')
}

test('each image is cropped within its own extent, as if it lay alone', async ({ gpu }) => {
  const sizes = [
    [8, 8],
    [3, 8],
    [8, 5],
    [1, 8],
    [6, 7],
  ] as const
  const N = sizes.length
  const pixels = random(N * 192, 5).map((x) => Math.abs(x) % 1)
  const images = gpu.tensor(pixels, [N, 8, 8, 3])
  const extents = gpu.tensor(sizes.flat(), [N, 2])
  const recipe: Recipe = { ...cifarRecipe(6), blur: { p: 0.5, kernel: 3 } }
  const rows = await gpu.read(drawAugmentations(images, recipe, at, extents))
  const views = await gpu.read(augment(images, recipe, at, extents))
  for (const [n, [h, w]] of sizes.entries()) {
    const alone = gpu.tensor(
      Float32Array.from({ length: h * w * 3 }, (_, i) => {
        const [y, x] = [Math.floor(i / (3 * w)), Math.floor(i / 3) % w]
        return pixels[((n * 8 + y) * 8 + x) * 3 + (i % 3)] ?? NaN
      }),
      [1, h, w, 3],
    )
    const where = { ...at, offset: n }
    assert.equal(
      rows.subarray(n * 16, (n + 1) * 16),
      await gpu.read(drawAugmentations(alone, recipe, where)),
      `${h} x ${w}`,
    )
    const view = views.subarray(n * 108, (n + 1) * 108)
    assert.equal(view, await gpu.read(augment(alone, recipe, where)), `${h} x ${w}`)
  }
})

test('extents of another shape, or without a crop, are refused', ({ gpu }) => {
  const images = gpu.tensor(new Uint8Array(2 * 48), [2, 4, 4, 3])
  const extents = gpu.tensor([4, 4, 4, 2], [2, 2])
  refuses(
    () => augment(images, cifarRecipe(4), at, gpu.tensor([4, 4], [1, 2])),
    'augment: extents must be [2, 2], height and width of each image, got [1, 2]',
  )
  refuses(
    () => augment(images, { size: 4 }, at, extents),
    'augment: extents need a recipe with crop, got one without; leave them out, or add crop',
  )
  assert.equal(augment(images, cifarRecipe(4), at, extents).shape, [2, 4, 4, 3])
})

test.run()
