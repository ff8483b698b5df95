// Checks a recipe before anything is dispatched, and computes the sizes that follow from it.

import type { CropBox } from './parameters.ts'
import { type Normalization, type Recipe, defaults } from './recipes.ts'
import { type Shape, ShapeError, show } from '../op.ts'
import {
  type Rule,
  anything,
  count,
  describe,
  nearestName,
  needed,
  notNegative,
  oneOf,
  rule,
  share,
  whole,
} from '../options.ts'

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

const optional = ({ words, fits }: Rule) => rule(words, (v) => v === undefined || fits(v))
/** null stands for the default, as undefined does. */
const orDefault = ({ words, fits }: Rule) => optional(rule(words, (v) => v === null || fits(v)))

const probability = rule('a probability from 0 to 1', share.fits)
const factor = rule('at least 0', notNegative.fits)
const range = (most: number) =>
  rule(`[low, high] with 0 < low <= high${most < Infinity ? ` <= ${most}` : ''}`, (v) => {
    const [low, high]: readonly unknown[] = Array.isArray(v) && v.length === 2 ? v : [NaN, NaN]
    return Number(low) > 0 && Number(low) <= Number(high) && Number(high) <= most
  })

/** The parts of a recipe, and what their fields must be. */
const parts: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  crop: { scale: orDefault(range(1)), ratio: orDefault(range(Infinity)) },
  translate: { p: orDefault(probability), pixels: needed(whole) },
  centerCrop: { resize: optional(rule('a positive integer', count.fits)) },
  jitter: {
    ...{ p: optional(probability), brightness: factor, contrast: factor, saturation: factor },
    hue: optional(rule('from 0 to 0.5', (v) => notNegative.fits(v) && Number(v) <= 0.5)),
  },
  blur: { p: orDefault(probability), sigma: orDefault(range(Infinity)), kernel: anything },
  normalize: { mean: anything, std: anything },
}

const ownRules = {
  flip: optional(probability),
  grayscale: optional(probability),
  resample: optional(rule('bilinear or bicubic', oneOf('bilinear', 'bicubic').fits)),
}

const fields =
  'size crop translate resample centerCrop flip sharedFlip jitter grayscale blur testResize normalize'

/** Throws an Error that names the first field of the recipe that is unknown or out of range. */
export function checkRecipe(recipe: Recipe) {
  if (typeof recipe !== 'object' || recipe === null)
    throw new TypeError(
      `augment: the recipe must be an object such as { flip: 0.5 }, got ${describe(recipe)}`,
    )
  const { size, crop, translate, centerCrop, normalize } = recipe
  known('the recipe', recipe, fields.split(' '))
  if (size !== undefined) checkSize('augment', size)
  checkFields('', recipe, ownRules)
  for (const [name, part] of Object.entries(recipe)) {
    const rules = parts[name]
    if (!rules || !part) continue
    known(name, part as object, Object.keys(rules)) // which refuses any other kind
    checkFields(`${name}.`, part as object, rules)
  }
  if (translate && (crop ?? centerCrop))
    throw new Error('augment: translate and a crop exclude each other, got both')
  if (crop && centerCrop)
    throw new Error('augment: crop and centerCrop exclude each other, got both')
  if (normalize) checkNormalization('augment', normalize)
}

function checkFields(prefix: string, part: object, rules: Readonly<Record<string, Rule>>) {
  const given = part as Readonly<Record<string, unknown>>
  for (const [field, wanted] of Object.entries(rules))
    if ((field in given || 'needed' in wanted) && !wanted.fits(given[field]))
      fail('augment', `${prefix}${field}`, wanted.words, given[field])
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

function known(where: string, part: object, allowed: readonly string[]) {
  if (typeof part !== 'object') fail('augment', where, `an object with ${allowed.join(', ')}`, part)
  const unknown = Object.keys(part).find((key) => !allowed.includes(key))
  if (unknown === undefined) return
  const near = nearestName(unknown, allowed)
  throw new Error(
    `augment: ${where} has no field '${unknown}'; ${near === undefined ? '' : `did you mean '${near}'? `}${near === undefined ? 'its' : 'Its'} fields are ${allowed.join(', ')}`,
  )
}

/** Throws `name: field must be words, got value`. */
export function fail(name: string, field: string, words: string, got: unknown): never {
  throw new Error(`${name}: ${field} must be ${words}, got ${shown(got)}`)
}

const shown = (got: unknown) =>
  Array.isArray(got) ? show(got) : typeof got === 'string' ? got : describe(got)
