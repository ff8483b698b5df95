// What a recipe of views may hold, as plain data.

import * as v from 'valibot'
import {
  fields,
  finite,
  flag,
  notNegative,
  oneOf,
  positive,
  range,
  rgb,
  share,
  whole,
  within,
} from './rules.ts'
import type { Recipe } from '../../kernels/augment/recipes.ts'

const side = whole(1, 8192) // pixels
const odd = 'an odd number of pixels'

/** How views are augmented. */
export const recipe = fields({
  size: v.exactOptional(side),
  crop: v.exactOptional(
    fields({ scale: v.exactOptional(range(1)), ratio: v.exactOptional(range()) }),
  ),
  translate: v.exactOptional(fields({ p: v.exactOptional(share), pixels: whole(0, 8192) })),
  resample: v.exactOptional(oneOf('bilinear', 'bicubic')),
  centerCrop: v.exactOptional(fields({ resize: v.exactOptional(side) })),
  flip: v.exactOptional(share),
  sharedFlip: v.exactOptional(flag),
  jitter: v.exactOptional(
    fields({
      p: v.exactOptional(share),
      brightness: v.exactOptional(notNegative),
      contrast: v.exactOptional(notNegative),
      saturation: v.exactOptional(notNegative),
      hue: v.exactOptional(within(0, 0.5)),
    }),
  ),
  grayscale: v.exactOptional(share),
  blur: v.exactOptional(
    fields({
      p: v.exactOptional(share),
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
  normalize: v.exactOptional(fields({ mean: rgb(finite), std: rgb(positive) })),
}) satisfies v.GenericSchema<unknown, Recipe>

/** One recipe for all views, or one for each of the two. */
export const views = v.lazy((input): v.GenericSchema<unknown, Recipe | readonly [Recipe, Recipe]> =>
  Array.isArray(input) ? v.strictTuple([recipe, recipe], 'a recipe, or a list of two') : recipe,
)
