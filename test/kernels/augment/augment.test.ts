import * as assert from 'uvu/assert'
import { type Shape, type Tensor, sizeOf } from '../../../kernels/op.ts'
import * as F from '../../../kernels/augment/functional.ts'
import { unpackAugmentations } from '../../../kernels/augment/parameters.ts'
import {
  type Recipe,
  cifarRecipe,
  imagenetRecipe,
  testTransform,
} from '../../../kernels/augment/recipes.ts'
import { augment, drawAugmentations } from '../../../kernels/augment/augment.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('augment')

const at = { seed: 7, step: 3, view: 0 }
const floats = (gpu: Gpu, shape: Shape) =>
  gpu.tensor(
    random(sizeOf(shape)).map((v) => (v + 1) / 2),
    shape,
  )
const bytes = (gpu: Gpu, shape: Shape) =>
  gpu.tensor(
    Uint8Array.from(random(sizeOf(shape)), (v) => Math.floor((v + 1) * 128)),
    shape,
  )

test('the same draw whatever the batch is cut into, another for another step, view or seed', async ({
  gpu,
}) => {
  const images = bytes(gpu, [6, 9, 7, 3])
  const recipe = { ...cifarRecipe(5), blur: { p: 0.5 } }
  const whole = await gpu.read(augment(images, recipe, at))
  assert.equal(await gpu.read(augment(images, recipe, at)), whole)
  const all = await gpu.read(images)
  const part = gpu.tensor(Uint8Array.from(all.subarray(2 * 9 * 7 * 3)), [4, 9, 7, 3])
  assert.equal(
    await gpu.read(augment(part, recipe, { ...at, offset: 2 })),
    whole.slice(2 * 5 * 5 * 3),
  )
  for (const other of [{ step: 4 }, { view: 1 }, { seed: 8 }]) {
    const views = await gpu.read(augment(images, recipe, { ...at, ...other }))
    for (let n = 0; n < 6; n++)
      assert.not.equal(
        views.slice(n * 75, n * 75 + 75),
        whole.slice(n * 75, n * 75 + 75),
        JSON.stringify(other),
      )
  }
})

test('bytes give what their 255ths give, and are left alone when nothing is asked', async ({
  gpu,
}) => {
  const shape = [3, 5, 7, 3]
  const images = bytes(gpu, shape)
  const values = await gpu.read(images)
  const scaled = gpu.tensor(
    values.map((v) => v / 255),
    shape,
  )
  const recipe = cifarRecipe(6)
  close(
    await gpu.read(augment(images, recipe, at)),
    await gpu.read(augment(scaled, recipe, at)),
    1e-6,
    'u8',
  )
  assert.equal(await gpu.read(augment(scaled, {}, at)), await gpu.read(scaled))
})

test('a recipe does what its parts do one after the other', async ({ gpu }) => {
  const [N, H, W] = [12, 13, 11]
  const recipe: Recipe = {
    size: [9, 10],
    crop: { scale: [0.3, 1] },
    flip: 0.5,
    jitter: { p: 0.8, brightness: 0.6, contrast: 0.6, saturation: 0.6, hue: 0.2 },
    grayscale: 0.3,
    blur: { p: 0.5, kernel: 5 },
    normalize: { mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.25] },
  }
  const batch = floats(gpu, [N, H, W, 3])
  const got = await gpu.read(augment(batch, recipe, at))
  const rows = unpackAugmentations(await gpu.read(drawAugmentations(batch, recipe, at)))
  const { size = [0, 0], normalize } = recipe
  assert.equal(
    await gpu.read(
      F.augmentWith(batch, rows, { size, kernel: 5, ...(normalize ? { normalize } : {}) }),
    ),
    got,
  )
  const pixels = await gpu.read(batch)
  for (const [n, { crop, flip, jitter = [], grayscale, blur }] of rows.entries()) {
    let x = gpu.tensor(pixels.slice(n * H * W * 3, (n + 1) * H * W * 3), [1, H, W, 3])
    if (crop) x = F.resizedCrop(x, crop, size)
    if (flip) x = F.flipHorizontal(x)
    for (const [kind, factor] of jitter) x = F.augmentWith(x, { jitter: [[kind, factor]] })
    if (grayscale) x = F.toGrayscale(x)
    if (blur) x = F.gaussianBlur(x, 5, blur)
    x = F.normalize(x, [0.4, 0.5, 0.6], [0.2, 0.3, 0.25])
    close(got.subarray(n * 270, (n + 1) * 270), await gpu.read(x), 2e-5, `sample ${n}`)
  }
})

test('any part of a recipe works alone', async ({ gpu }) => {
  const batch = floats(gpu, [2, 6, 5, 3])
  const same = async (recipe: Recipe, expected: Tensor) =>
    close(
      await gpu.read(augment(batch, recipe, at)),
      await gpu.read(expected),
      1e-6,
      JSON.stringify(recipe),
    )
  await same({ flip: 1 }, F.flipHorizontal(batch))
  await same({ grayscale: 1 }, F.toGrayscale(batch))
  await same({ size: 7 }, F.resizedCrop(batch, { top: 0, left: 0, height: 6, width: 5 }, 7))
  await same({ blur: { sigma: [1, 1], kernel: 3 } }, F.gaussianBlur(batch, 3, 1))
  const [mean, std] = [[0.1, 0.2, 0.3] as const, [1, 2, 3] as const]
  await same({ normalize: { mean, std } }, F.normalize(batch, mean, std))
})

test('the test transform normalises CIFAR, and cuts the middle of larger images', async ({
  gpu,
}) => {
  const { normalize } = cifarRecipe()
  assert.equal(testTransform(cifarRecipe()), { size: 32, normalize })
  assert.equal(testTransform(imagenetRecipe()), { size: 224, centerCrop: { resize: 256 } })
  const ramp = floats(gpu, [1, 10, 15, 3])
  const middle = F.resizedCrop(ramp, { top: 2, left: 4, height: 6, width: 6 }, 6) // (15 - 6) / 2 rounds to even
  assert.equal(
    await gpu.read(augment(ramp, { size: 6, centerCrop: {} }, at)),
    await gpu.read(middle),
  )
  const resized = await gpu.read(
    F.resizedCrop(ramp, { top: 0, left: 0, height: 10, width: 15 }, [8, 12]),
  )
  const cut = await gpu.read(augment(ramp, { size: 4, centerCrop: { resize: 8 } }, at))
  const rows = await gpu.read(drawAugmentations(ramp, { size: 4, centerCrop: { resize: 8 } }, at))
  close(
    await gpu.read(F.augmentWith(ramp, unpackAugmentations(rows), { size: 4 })),
    cut,
    1e-6,
    'as drawn',
  )
  for (let y = 0; y < 4; y++)
    close(
      cut.slice(y * 12, y * 12 + 12),
      resized.slice(((y + 2) * 12 + 4) * 3, ((y + 2) * 12 + 8) * 3),
      1e-5,
      `row ${y}`,
    )
})

test('refuses images that are no images', ({ gpu }) => {
  const refuse = (
    shape: number[],
    message: string,
    make = (n: number) => new Float32Array(n) as Float32Array | Int32Array,
  ) =>
    refuses(
      () => augment(gpu.tensor(make(shape.reduce((a, b) => a * b)), shape), { size: 4 }, at),
      message,
    )
  refuse([2, 4, 4], 'augment: images must be [N, H, W, 3], got [2, 4, 4]')
  refuse([2, 4, 4, 1], 'augment: images must be [N, H, W, 3], got [2, 4, 4, 1]')
  refuse(
    [1, 2, 2, 3],
    'augment: images must be u8, or f32 in [0, 1], got i32 [1, 2, 2, 3]; give them as a Uint8Array',
    (n) => new Int32Array(n),
  )
})

test('refuses recipes by the name of the field', ({ gpu }) => {
  const images = bytes(gpu, [1, 4, 4, 3])
  const refuse = (recipe: object, message: string) =>
    refuses(() => augment(images, recipe, at), message)
  const fields =
    'size, crop, translate, resample, centerCrop, flip, sharedFlip, jitter, grayscale, blur, testResize, normalize'
  refuse({ colour: 1 }, `augment: the recipe has no field 'colour'; its fields are ${fields}`)
  refuse(
    { crop: { area: [0, 1] } },
    "augment: crop has no field 'area'; its fields are scale, ratio",
  )
  refuse({ flip: 1.5 }, 'augment: flip must be a probability from 0 to 1, got 1.5')
  refuse({ jitter: { p: -1 } }, 'augment: jitter.p must be a probability from 0 to 1, got -1')
  refuse({ jitter: { contrast: -0.1 } }, 'augment: jitter.contrast must be at least 0, got -0.1')
  refuse({ jitter: { hue: 0.6 } }, 'augment: jitter.hue must be from 0 to 0.5, got 0.6')
  refuse(
    { crop: { scale: [0.5, 0.2] } },
    'augment: crop.scale must be [low, high] with 0 < low <= high <= 1, got [0.5, 0.2]',
  )
  refuse(
    { blur: { sigma: [0, 2] } },
    'augment: blur.sigma must be [low, high] with 0 < low <= high, got [0, 2]',
  )
  refuse({ blur: { kernel: 4 } }, 'augment: the blur kernel must be an odd number of pixels, got 4')
  refuse({ size: [4, 0] }, 'augment: size must be one or two positive integers, got [4, 0]')
  refuse({ crop: {}, centerCrop: {} }, 'augment: crop and centerCrop exclude each other, got both')
  refuse(
    { normalize: { mean: [0, 0, 0], std: [1, 0, 1] } },
    'augment: std must be three positive numbers, got [1, 0, 1]',
  )
  refuse(
    { blur: { kernel: 9 } },
    'augment: a blur kernel of 9 pixels pads by reflection and needs images of 5 or more, got 4 x 4',
  )
  refuse(
    { size: 6, centerCrop: { resize: 5 } },
    'augment: centerCrop cuts 6 x 6 from an image resized to 5 x 5; resize it to more',
  )
  refuse(
    { crop: {}, translate: { pixels: 1 } },
    'augment: translate and a crop exclude each other, got both',
  )
  refuse(
    { translate: { pixels: 0.5 } },
    'augment: translate.pixels must be a whole number from 0 on, got 0.5',
  )
  refuse(
    { translate: { pixels: 4 } },
    'augment: translate.pixels must be fewer than the image has, got 4 for 4 x 4',
  )
  refuse({ resample: 'nearest' }, 'augment: resample must be bilinear or bicubic, got nearest')
  refuses(
    () => augment(images, {}, { ...at, step: -1 }),
    'augment: step must be a whole number from 0 to below 2^32, got -1',
  )
  refuses(
    () => F.augmentWith(images, [{}, {}]),
    'augmentWith: there must be one augmentation, or one per image, got 2 for 1',
  )
  refuses(
    () => F.adjustBrightness(images, -1),
    'adjustBrightness: the brightness factor must be at least 0, got -1',
  )
  refuses(() => F.adjustHue(images, 0.6), 'adjustHue: hue must be turned by -0.5 to 0.5, got 0.6')
  refuses(
    () => F.resizedCrop(images, { top: 2, left: 0, height: 3, width: 4 }, 4),
    'resizedCrop: the crop must be whole pixels within the image, got 3 x 4 at (2, 0) of 4 x 4',
  )
})

test.run()
