// A recipe is a plain object that says how images are augmented. Any field may be absent. The
// built-in ones are the papers'. Every amount has torchvision's meaning (torchvision.transforms,
// version 0.14, on float tensors).

import { checkOptions, checkValue, count, record } from '../options.ts'

/** How images are augmented, in order: crop and resize, flip, jitter, grey, blur, normalise. */
export interface Recipe {
  /** Height and width of the result, one number for a square; the images' own by default. */
  readonly size?: number | readonly [height: number, width: number]
  /** RandomResizedCrop: a box with `scale` of the area and `ratio` of width to height, resized to
   *  `size` bilinearly without antialias. Default scale [0.08, 1], ratio [3/4, 4/3]. Without it
   *  the whole image is resized. */
  readonly crop?: { readonly scale?: Range; readonly ratio?: Range }
  /** Instead of `crop`: with probability p (1 by default) the image is moved by up to `pixels`
   *  whole pixels along each axis, and its mirror image fills the gap (AMDIM,
   *  RandomTranslateWithReflect). */
  readonly translate?: { readonly p?: number; readonly pixels: number }
  /** The interpolation: 'bilinear' by default, or 'bicubic', which covers more pixels where the
   *  image shrinks (like Pillow's, without its rounding between the axes). */
  readonly resample?: 'bilinear' | 'bicubic'
  /** Instead of `crop`: the middle `size` of the image, whose shorter side is resized to `resize`
   *  first. */
  readonly centerCrop?: { readonly resize?: number }
  /** Probability of mirroring left and right. */
  readonly flip?: number
  /** True mirrors an image in all its views or in none. */
  readonly sharedFlip?: boolean
  /** ColorJitter with probability p (1 by default): factors uniform in [max(0, 1 - b), 1 + b] for
   *  brightness, contrast and saturation b, hue uniform in [-h, h] turns; the four in an order
   *  drawn anew for every image. */
  readonly jitter?: {
    readonly p?: number
    readonly brightness?: number
    readonly contrast?: number
    readonly saturation?: number
    readonly hue?: number
  }
  /** Probability of turning grey. */
  readonly grayscale?: number
  /** Gaussian blur with probability p (1 by default), sigma uniform in its range ([0.1, 2] by
   *  default) in pixels, `kernel` pixels wide: by default SimCLR's, a tenth of the height made
   *  odd, at least 3. */
  readonly blur?: { readonly p?: number; readonly sigma?: Range; readonly kernel?: number }
  /** What `testTransform` resizes the shorter side to, before it cuts the middle. */
  readonly testResize?: number
  /** Subtracts a mean and divides by a standard deviation per channel. */
  readonly normalize?: Normalization
}

export type Range = readonly [low: number, high: number]
export type Rgb = readonly [red: number, green: number, blue: number]

export interface Normalization {
  readonly mean: Rgb
  readonly std: Rgb
}

/** Defaults of a recipe's crop and blur: torchvision's RandomResizedCrop, SimCLR's blur. */
export const defaults = { scale: [0.08, 1], ratio: [3 / 4, 4 / 3], sigma: [0.1, 2] } as const

const cifarStatistics: Normalization = {
  mean: [0.4914, 0.4822, 0.4465],
  std: [0.2023, 0.1994, 0.201],
}

/** CIFAR's augmentation in leftthomas/SimCLR (utils.py, train_transform) and MoCo's CIFAR demo:
 *  SimCLR's of the paper's appendix B.9 at colour strength 0.5 without blur, then normalised by
 *  CIFAR-10's mean and deviation. */
export const cifarRecipe = (size = 32): Recipe => ({
  size,
  crop: { scale: [0.08, 1], ratio: [3 / 4, 4 / 3] },
  flip: 0.5,
  jitter: { p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
  grayscale: 0.2,
  normalize: cifarStatistics,
})

/** ImageNet's augmentation in the SimCLR paper, appendix A (https://arxiv.org/abs/2002.05709), at
 *  colour strength s. As in google-research/simclr the result stays in [0, 1], not normalised. Two
 *  deviations: the resize is bilinear, not bicubic, and the blur's sigma is drawn per image, not
 *  per batch. */
export const imagenetRecipe = (size = 224, s = 1): Recipe => ({
  size,
  crop: { scale: [0.08, 1], ratio: [3 / 4, 4 / 3] },
  flip: 0.5,
  jitter: { p: 0.8, brightness: 0.8 * s, contrast: 0.8 * s, saturation: 0.8 * s, hue: 0.2 * s },
  grayscale: 0.2,
  blur: { p: 0.5, sigma: [0.1, 2] },
})

const SMALL = 32 // up to this height there is no margin to cut: CIFAR's test images are used whole

/** Height and width of the squares that photographs are decoded to, for the test transform of views
 *  of `size` pixels: 8/7 of it, which the transform's crop takes away again, or the size itself up
 *  to 32 pixels. */
export const testSide = (size: number): number => (size > SMALL ? Math.round((size * 8) / 7) : size)

/** The deterministic transform that tests a model trained with `recipe`: its size and
 *  normalisation and nothing random. Up to 32 pixels the whole image (leftthomas/SimCLR,
 *  test_transform); above, the middle of the image whose shorter side is resized to `resize`
 *  pixels, 8/7 of the size by default (256 for 224, as ImageNet is tested). */
export function testTransform(
  recipe: Recipe,
  options: { readonly resize?: number | undefined } = {},
): Recipe {
  checkValue('testTransform', 'recipe', recipe, record)
  const { size, normalize, resample, testResize } = recipe
  const { resize = testResize } = checkOptions('testTransform', options, { resize: count })
  const shorter = size === undefined ? 0 : Math.min(...[size].flat())
  const whole = resize === undefined && shorter <= SMALL
  return {
    ...(size === undefined ? {} : { size }),
    ...(whole ? {} : { centerCrop: { resize: resize ?? Math.round((shorter * 8) / 7) } }),
    ...(resample ? { resample } : {}),
    ...(normalize ? { normalize } : {}),
  }
}

/** A recipe that only crops and flips: what SimCLR and MoCo train classifiers and fine-tune on. Its
 *  crop is torchvision's RandomResizedCrop; size, flip and normalisation are those of `recipe`. */
export function cropAndFlip(recipe: Recipe): Recipe {
  checkValue('cropAndFlip', 'recipe', recipe, record)
  const { size, flip, resample, normalize, testResize } = recipe
  return {
    ...(size === undefined ? {} : { size }),
    crop: { scale: defaults.scale, ratio: defaults.ratio },
    ...(flip === undefined ? {} : { flip }),
    ...(resample ? { resample } : {}),
    ...(testResize === undefined ? {} : { testResize }),
    ...(normalize ? { normalize } : {}),
  }
}
