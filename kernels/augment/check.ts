// Checks a recipe before anything is dispatched, and computes the sizes that follow from it.

import { type CropBox } from './parameters.ts'
import { type Normalization, type Recipe, defaults } from './recipes.ts'
import { type Shape, ShapeError, show } from '../op.ts'
import { describe, nearestName } from '../options.ts'

/** Returns N, H, W of images [N, H, W, 3]. Throws ShapeError, naming the op, for other shapes. */
export function checkImages(name: string, shape: Shape): [N: number, H: number, W: number] {
  const [N, H, W, C] = shape
  if (shape.length !== 4 || N === undefined || H === undefined || W === undefined || C !== 3)
    throw new ShapeError(`${name}: images must be [N, H, W, 3], got ${show(shape)}`)
  return [N, H, W]
}

/** Returns [height, width]. Throws unless `size` is one or two positive integers. */
export function checkSize(
  name: string,
  size: number | readonly [number, number],
): readonly [number, number] {
  if (typeof size !== 'number' && !(Array.isArray(size) && size.length === 2))
    fail(name, 'size', 'one or two positive integers', size)
  const [h, w]: readonly [number, number] = typeof size === 'number' ? [size, size] : size
  for (const side of [h, w])
    if (!(Number.isInteger(side) && side > 0))
      fail(name, 'size', 'one or two positive integers', size)
  return [h, w]
}

/** Throws unless the normalisation is two triples with a positive deviation. */
export function checkNormalization(name: string, { mean, std }: Normalization) {
  if (!(mean?.length === 3 && mean.every(Number.isFinite)))
    fail(name, 'mean', 'three numbers', mean)
  if (!(std?.length === 3 && std.every((v) => v > 0)))
    fail(name, 'std', 'three positive numbers', std)
}

/** Throws unless `kernel` is odd and its half, the padding by reflection, is within the image. */
export function checkKernel(name: string, kernel: number, [h, w]: readonly [number, number]) {
  if (!(Number.isInteger(kernel) && kernel % 2 === 1 && kernel > 0))
    fail(name, 'the blur kernel', 'an odd number of pixels', kernel)
  const least = (kernel + 1) / 2
  if (Math.min(h, w) < least)
    throw new ShapeError(
      `${name}: a blur kernel of ${kernel} pixels pads by reflection and needs images of ${least} or more, got ${h} x ${w}`,
    )
}

/** Throws an Error that names the first field of the recipe that is unknown or out of range. */
export function checkRecipe(recipe: Recipe) {
  if (typeof recipe !== 'object' || recipe === null)
    throw new TypeError(
      `augment: the recipe must be an object such as { flip: 0.5 }, got ${describe(recipe)}`,
    )
  const {
    size,
    crop,
    translate,
    resample,
    centerCrop,
    flip = 0,
    jitter,
    grayscale = 0,
    blur,
    normalize,
  } = recipe
  known(
    'the recipe',
    recipe,
    'size crop translate resample centerCrop flip sharedFlip jitter grayscale blur testResize normalize',
  )
  if (size !== undefined) checkSize('augment', size)
  probability('flip', flip)
  probability('grayscale', grayscale)
  if (crop) {
    known('crop', crop, 'scale ratio')
    range('crop.scale', crop.scale ?? defaults.scale, 1)
    range('crop.ratio', crop.ratio ?? defaults.ratio, Infinity)
  }
  if (translate) {
    known('translate', translate, 'p pixels')
    if (crop ?? centerCrop)
      throw new Error('augment: translate and a crop exclude each other, got both')
    probability('translate.p', translate.p ?? 1)
    if (!(Number.isInteger(translate.pixels) && translate.pixels >= 0))
      fail('augment', 'translate.pixels', 'a whole number from 0 on', translate.pixels)
  }
  if (resample !== undefined && resample !== 'bilinear' && resample !== 'bicubic')
    fail('augment', 'resample', 'bilinear or bicubic', resample)
  if (centerCrop) {
    known('centerCrop', centerCrop, 'resize')
    if (crop) throw new Error('augment: crop and centerCrop exclude each other, got both')
    const { resize = 1 } = centerCrop
    if (!(Number.isInteger(resize) && resize > 0))
      fail('augment', 'centerCrop.resize', 'a positive integer', resize)
  }
  if (jitter) {
    known('jitter', jitter, 'p brightness contrast saturation hue')
    const { p = 1, hue = 0, ...factors } = jitter
    probability('jitter.p', p)
    for (const [field, value] of Object.entries(factors))
      if (!(typeof value === 'number' && value >= 0))
        fail('augment', `jitter.${field}`, 'at least 0', value)
    if (!(typeof hue === 'number' && hue >= 0 && hue <= 0.5))
      fail('augment', 'jitter.hue', 'from 0 to 0.5', hue)
  }
  if (blur) {
    known('blur', blur, 'p sigma kernel')
    probability('blur.p', blur.p ?? 1)
    range('blur.sigma', blur.sigma ?? defaults.sigma, Infinity)
  }
  if (normalize) {
    known('normalize', normalize, 'mean std')
    checkNormalization('augment', normalize)
  }
}

/** Throws unless seed, step, view and offset are 32-bit counts. */
export function checkSampling(sampling: object) {
  for (const [field, value] of Object.entries(sampling))
    if (!(Number.isInteger(value) && value >= 0 && value < 2 ** 32))
      fail('augment', field, 'a whole number from 0 to below 2^32', value)
}

/** Returns the height and width of the recipe's result for images [H, W]. */
export const outputSize = ({ size }: Recipe, image: readonly [number, number]) =>
  size === undefined ? image : checkSize('augment', size)

/** Returns the width of the blur's kernel. The default is google-research/simclr's, a tenth of the
 *  height made odd. */
export const blurSize = ({ blur }: Recipe, [h]: readonly [number, number]) =>
  blur?.kernel ?? Math.max(3, 2 * Math.floor(h / 20) + 1)

/** Returns the box that is cut when none is drawn: the whole image, the middle of a resized one,
 *  or RandomResizedCrop's fallback, the largest middle box within its ratios. Throws ShapeError
 *  when the middle is larger than the image. */
export function fixedBox(recipe: Recipe, [H, W]: readonly [number, number]): CropBox {
  const { crop, centerCrop } = recipe
  if (crop) {
    const [low, high] = crop.ratio ?? defaults.ratio
    const height = W / H < low ? round(W / low) : H
    const width = W / H > high ? round(H * high) : W
    return { top: Math.floor((H - height) / 2), left: Math.floor((W - width) / 2), height, width }
  }
  if (!centerCrop) return { top: 0, left: 0, height: H, width: W }
  const [h, w] = outputSize(recipe, [H, W])
  const { resize = Math.min(H, W) } = centerCrop
  const [RH, RW] =
    H < W ? [resize, Math.trunc((resize * W) / H)] : [Math.trunc((resize * H) / W), resize]
  if (h > RH || w > RW)
    throw new ShapeError(
      `augment: centerCrop cuts ${h} x ${w} from an image resized to ${RH} x ${RW}; resize it to more`,
    )
  const [down, right] = [H / RH, W / RW] // pixels of the image per pixel of the resized one
  const [top, left] = [round((RH - h) / 2) * down, round((RW - w) / 2) * right]
  return { top, left, height: h * down, width: w * right, open: true }
}

/** Python's and WGSL's rounding: halves to the even neighbour. */
const round = (x: number) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x))

function known(where: string, part: object, fields: string) {
  const allowed = fields.split(' ')
  if (typeof part !== 'object') fail('augment', where, `an object with ${allowed.join(', ')}`, part)
  const unknown = Object.keys(part).find((key) => !allowed.includes(key))
  if (unknown === undefined) return
  const near = nearestName(unknown, allowed)
  throw new Error(
    `augment: ${where} has no field '${unknown}'; ${near === undefined ? '' : `did you mean '${near}'? `}${near === undefined ? 'its' : 'Its'} fields are ${allowed.join(', ')}`,
  )
}

function probability(field: string, p: number) {
  if (!(typeof p === 'number' && p >= 0 && p <= 1))
    fail('augment', field, 'a probability from 0 to 1', p)
}

function range(field: string, given: readonly [number, number], most: number) {
  const [low, high]: readonly number[] =
    Array.isArray(given) && given.length === 2 ? given : [NaN, NaN]
  if (!(Number(low) > 0 && Number(low) <= Number(high) && Number(high) <= most))
    fail(
      'augment',
      field,
      `[low, high] with 0 < low <= high${most < Infinity ? ` <= ${most}` : ''}`,
      given,
    )
}

/** Throws `name: field must be rule, got value`. */
export function fail(name: string, field: string, rule: string, got: unknown): never {
  throw new Error(`${name}: ${field} must be ${rule}, got ${shown(got)}`)
}

const shown = (got: unknown) =>
  Array.isArray(got) ? show(got) : typeof got === 'string' ? got : describe(got)
