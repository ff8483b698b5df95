import type { Tensor } from '../../../kernels/op.ts'
import * as F from '../../../kernels/augment/functional.ts'
import type { Adjustment } from '../../../kernels/augment/parameters.ts'
import { type Rgb, cifarRecipe } from '../../../kernels/augment/recipes.ts'
import { translateReflect } from '../../../kernels/augment/translate-reflect.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { Golden, goldenNames, toNHWC } from '../../fixtures/golden.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('augment-functional')

// What torchvision computed. aug_pil32px is optional (uint8 rounding after each op);
// aug_amdim_translate is AMDIM's own.
interface GoldenOp {
  readonly name: string
  readonly op: string
  readonly factor: number
  readonly mean: Rgb
  readonly std: Rgb
  readonly kernel_size: number
  readonly sigma: number
  readonly top: number
  readonly left: number
  readonly height: number
  readonly width: number
  readonly size: readonly [number, number]
  readonly crop: readonly [number, number, number, number]
  readonly flip: boolean
  readonly jitter: readonly (readonly [Adjustment, number])[]
  readonly gray: boolean
}

const ops: Record<string, (x: Tensor, c: GoldenOp) => Tensor> = {
  brightness: (x, { factor }) => F.adjustBrightness(x, factor),
  contrast: (x, { factor }) => F.adjustContrast(x, factor),
  saturation: (x, { factor }) => F.adjustSaturation(x, factor),
  hue: (x, { factor }) => F.adjustHue(x, factor),
  grayscale: (x) => F.toGrayscale(x),
  hflip: (x) => F.flipHorizontal(x),
  normalize: (x, { mean, std }) => F.normalize(x, mean, std),
  gaussian_blur: (x, { kernel_size, sigma }) => F.gaussianBlur(x, kernel_size, sigma),
  resized_crop: (x, box) => F.resizedCrop(x, box, box.size),
  pipeline(x, { crop: [top, left, height, width], flip, jitter, gray }) {
    const crop = { top, left, height, width }
    const { normalize } = cifarRecipe()
    return F.augmentWith(
      x,
      { crop, flip, jitter, grayscale: gray },
      { size: 32, ...(normalize ? { normalize } : {}) },
    )
  },
}

/** The taps of the blur: what it makes of a single bright pixel, summed over the columns. */
async function impulse(gpu: Gpu, k: number, sigma: number): Promise<number[]> {
  const side = 2 * k + 1
  const image = new Float32Array(side * side * 3)
  image.fill(1, 3 * (side * k + k), 3 * (side * k + k) + 3)
  const out = await gpu.read(F.gaussianBlur(gpu.tensor(image, [1, side, side, 3]), k, sigma))
  const column = (x: number) => {
    let sum = 0
    for (let y = 0; y < side; y++) sum += out[3 * (y * side + x)] ?? NaN
    return sum
  }
  return Array.from({ length: k }, (_, i) => column(k - (k - 1) / 2 + i))
}

for (const name of goldenNames('aug_float')) {
  test(`${name}: agrees with torchvision`, async ({ gpu }) => {
    const golden = new Golden(name)
    const cases = golden.config['aug'] as GoldenOp[] // cases.json's own form
    const { values, shape } = toNHWC(golden.values('in.img'), [1, ...golden.shape('in.img')])
    const image = gpu.tensor(values, shape)
    for (const c of cases) {
      if (c.op === 'gaussian_kernel')
        golden.expect(`out.${c.name}`, await impulse(gpu, c.kernel_size, c.sigma))
      else await golden.matchImages(gpu, `out.${c.name}`, ops[c.op]?.(image, c))
    }
    golden.done()
  })
}

test('aug_amdim_translate: moves by whole pixels and mirrors at the edges', async ({ gpu }) => {
  const golden = new Golden('aug_amdim_translate')
  const { values, shape } = toNHWC(golden.values('in.img'), [1, ...golden.shape('in.img')])
  const image = gpu.tensor(values, shape)
  for (const [dx, dy] of golden.config['shifts'] as [number, number][])
    await golden.matchImages(gpu, `out.dx${dx}_dy${dy}`, translateReflect(image, dx, dy))
  golden.done()
  refuses(
    () => translateReflect(gpu.tensor(new Float32Array(12), [1, 2, 2, 3]), 0, -2),
    'translateReflect: shifts must be whole pixels, fewer than the image has, got dx 0, dy -2 for 2 x 2',
  )
})

test.run()
