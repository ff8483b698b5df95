// torchvision.transforms.functional on the GPU, for one batch, with given parameters. Each
// function is one step of `augmentWith`, which runs the kernels of `augment`. None carries a
// gradient.

import { checkImages, checkKernel, checkNormalization, checkSize, fail } from './check.ts'
import { type Augmentation, type CropBox, ROW, packAugmentations } from './parameters.ts'
import { imagesOp, transform } from './pixels.ts'
import type { Normalization, Rgb } from './recipes.ts'
import { type Op, type Tensor, ShapeError } from '../op.ts'
import { anything, checkOptions, checkValue, flag, having, record } from '../options.ts'

interface Given {
  readonly name: string
  readonly each: readonly Augmentation[]
  readonly size: number | readonly [number, number] | undefined
  readonly kernel: number
  readonly normalize: Normalization | undefined
}

const augmentWithOp: Op<[images: Tensor], [Tensor], Given> = {
  name: 'augmentWith',
  shape({ name, each, size, kernel, normalize }, images) {
    const [N, H, W] = checkImages(name, images)
    if (each.length !== 1 && each.length !== N)
      throw new ShapeError(
        `${name}: there must be one augmentation, or one per image, got ${each.length} for ${N}`,
      )
    for (const one of each) checkAugmentation(name, one, kernel, [H, W])
    const [h, w] = size ? checkSize(name, size) : [H, W]
    if (kernel > 0) checkKernel(name, kernel, [h, w])
    if (normalize) checkNormalization(name, normalize)
    return [N, h, w, 3]
  },
  forward(run, attrs, images) {
    const shape = augmentWithOp.shape(attrs, images.shape)
    const [N, H, W] = checkImages(attrs.name, images.shape)
    const { each, kernel, normalize } = attrs
    const [only] = each
    const rows = each.length === 1 && only ? Array<Augmentation>(N).fill(only) : each
    const contrast = each.some(({ jitter }) => jitter?.some(([kind]) => kind === 'contrast'))
    const chosen = run.tensor(packAugmentations(rows, [H, W]), [N, ROW])
    return [transform(run, images, chosen, { shape, contrast, blur: kernel, normalize })]
  },
}

const augmentationRules = {
  ...{ crop: record, flip: flag, jitter: anything, grayscale: flag, blur: anything },
}

const apply = imagesOp(augmentWithOp)

export interface AugmentWithOptions {
  /** Height and width of the result, one number for a square; the images' own by default. */
  readonly size?: number | readonly [height: number, width: number]
  /** Width of the blur's kernel in pixels, odd. */
  readonly kernel?: number
  readonly normalize?: Normalization
}

/** Augments images [N, H, W, 3], u8 or f32 in [0, 1], as given, once for all or one by one ->
 *  [N, h, w, 3] f32. Throws ShapeError, and Error for a factor out of torchvision's range. */
export const augmentWith = (
  images: Tensor,
  each: Augmentation | readonly Augmentation[],
  options: AugmentWithOptions = {},
): Tensor => {
  const { size, kernel = 0, normalize } = checkOptions('augmentWith', options, rules)
  return augmented('augmentWith', images, [each].flat(), { size, kernel, normalize })
}

const rules = { size: anything, kernel: anything, normalize: record }

/** x * factor, clamped to [0, 1]. Throws when the factor is negative. */
export const adjustBrightness = (x: Tensor, factor: number) =>
  augmented('adjustBrightness', x, [{ jitter: [['brightness', factor]] }])

/** x blended with its image's mean grey: factor x + (1 - factor) mean, clamped. Throws when the
 *  factor is negative. */
export const adjustContrast = (x: Tensor, factor: number) =>
  augmented('adjustContrast', x, [{ jitter: [['contrast', factor]] }])

/** x blended with its grey: factor x + (1 - factor) grey, clamped. Throws when the factor is
 *  negative. */
export const adjustSaturation = (x: Tensor, factor: number) =>
  augmented('adjustSaturation', x, [{ jitter: [['saturation', factor]] }])

/** x with its hue turned by `turn` of the circle. Throws unless it is from -0.5 to 0.5. */
export const adjustHue = (x: Tensor, turn: number) =>
  augmented('adjustHue', x, [{ jitter: [['hue', turn]] }])

/** 0.2989 R + 0.587 G + 0.114 B in all three channels: rgb_to_grayscale(num_output_channels=3). */
export const toGrayscale = (x: Tensor) => augmented('toGrayscale', x, [{ grayscale: true }])

/** x mirrored left and right. */
export const flipHorizontal = (x: Tensor) => augmented('flipHorizontal', x, [{ flip: true }])

/** x blurred with standard deviation `sigma` over `kernelSize` pixels each way, padded by
 *  reflection. */
export const gaussianBlur = (x: Tensor, kernelSize: number, sigma: number) =>
  augmented('gaussianBlur', x, [{ blur: sigma }], { kernel: kernelSize })

/** The box of x, resized bilinearly to `size` without antialias. Throws unless it lies within the
 *  image. */
export const resizedCrop = (
  x: Tensor,
  crop: CropBox,
  size: number | readonly [height: number, width: number],
): Tensor => {
  checkValue(
    'resizedCrop',
    'crop',
    crop,
    having('a box of pixels', 'top', 'left', 'height', 'width'),
  )
  return augmented('resizedCrop', x, [{ crop }], { size: checkSize('resizedCrop', size) })
}

/** (x - mean) / std per channel. */
export const normalize = (x: Tensor, mean: Rgb, std: Rgb) =>
  augmented('normalize', x, [{}], { normalize: { mean, std } })

function augmented(
  name: string,
  images: Tensor,
  each: readonly Augmentation[],
  { size, kernel = 0, normalize: statistics }: Partial<Given> = {},
) {
  return apply({ name, each, size, kernel, normalize: statistics }, images)
}

function checkAugmentation(
  name: string,
  one: Augmentation,
  kernel: number,
  [H, W]: readonly [number, number],
) {
  const { crop, jitter = [], blur = 0 } = checkOptions(name, one ?? {}, augmentationRules)
  if (crop && !inside(crop, H, W))
    throw new ShapeError(
      `${name}: the crop must be whole pixels within the image, got ${crop.height} x ${crop.width} at ` +
        `(${crop.top}, ${crop.left}) of ${H} x ${W}`,
    )
  for (const [i, [kind, factor]] of jitter.entries()) {
    if (jitter.findIndex(([other]) => other === kind) < i)
      fail(name, kind, 'adjusted once', 'twice')
    if (kind === 'hue' && !(Math.abs(factor) <= 0.5))
      fail(name, 'hue', 'turned by -0.5 to 0.5', factor)
    if (!(kind === 'hue' || (typeof factor === 'number' && factor >= 0)))
      fail(name, `the ${kind} factor`, 'at least 0', factor)
  }
  if (!(blur >= 0)) fail(name, 'sigma', 'at least 0', blur)
  if (blur > 0 && kernel === 0) fail(name, 'the blur kernel', 'given with sigma', 'none')
}

function inside(
  { top, left, height, width, open = false }: CropBox,
  H: number,
  W: number,
): boolean {
  const whole = open || [top, left, height, width].every(Number.isInteger)
  const slack = open ? 1e-3 : 0 // the GPU rounded the fractions of an open box to f32
  const fits = top + height <= H + slack && left + width <= W + slack
  return whole && fits && top >= 0 && left >= 0 && height > 0 && width > 0
}
