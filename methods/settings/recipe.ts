// The rule of a recipe.

import * as v from 'valibot'
import {
  fields,
  finite,
  bool,
  nonNegative,
  wordOf,
  positiveNumber,
  range,
  rgb,
  fraction,
  integer,
  within,
} from './rules.ts'
import type { Recipe } from '../../kernels/augment/recipes.ts'

const side = integer(1, 8192) // pixels
const odd = 'an odd number of pixels'

/** The rule of a recipe: its operations and their numbers. */
export const recipe = fields({
  size: v.exactOptional(side),
  crop: v.exactOptional(
    fields({ scale: v.exactOptional(range(1)), ratio: v.exactOptional(range()) }),
  ),
  translate: v.exactOptional(fields({ p: v.exactOptional(fraction), pixels: integer(0, 8192) })),
  resample: v.exactOptional(wordOf('bilinear', 'bicubic')),
  centerCrop: v.exactOptional(fields({ resize: v.exactOptional(side) })),
  flip: v.exactOptional(fraction),
  sharedFlip: v.exactOptional(bool),
  jitter: v.exactOptional(
    fields({
      p: v.exactOptional(fraction),
      brightness: v.exactOptional(nonNegative),
      contrast: v.exactOptional(nonNegative),
      saturation: v.exactOptional(nonNegative),
      hue: v.exactOptional(within(0, 0.5)),
    }),
  ),
  grayscale: v.exactOptional(fraction),
  blur: v.exactOptional(
    fields({
      p: v.exactOptional(fraction),
      sigma: v.exactOptional(range()),
      kernel: v.exactOptional(
        v.pipe(
          v.number(odd),
          v.check((n) => Number.isInteger(n) && n > 0 && n % 2 === 1, odd),
        ),
      ),
    }),
  ),
  testResize: v.exactOptional(side),
  normalize: v.exactOptional(fields({ mean: rgb(finite), std: rgb(positiveNumber) })),
}) satisfies v.GenericSchema<unknown, Recipe>
