// How a test transform prepares images, in words that other programs follow.

import { checkValue, count, record } from '../options.ts'
import type { Recipe } from './recipes.ts'

const [black, white] = [
  [0, 0, 0],
  [1, 1, 1],
]

/** Describes what a test transform makes of an image, `size` pixels high and wide, in torchvision's
 *  terms: resize the shorter side, cut the middle square, divide by 255, subtract the mean, divide
 *  by the deviation. `kindred export` writes it into an ONNX file as `kindred.image`. Throws
 *  TypeError. */
export function preparationOf(transform: Recipe, size: number) {
  checkValue('preparationOf', 'transform', transform, record)
  checkValue('preparationOf', 'size', size, count)
  const { centerCrop, resample = 'bilinear', normalize } = transform
  return {
    ...{ colours: 'RGB', range: [0, 1] },
    ...{ resize: centerCrop?.resize ?? size, crop: size, resample },
    ...{ mean: normalize?.mean ?? black, std: normalize?.std ?? white },
  }
}
