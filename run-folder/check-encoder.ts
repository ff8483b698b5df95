// Checks an encoder that a user brings to `embedder`.

import { type Recipe, defaults } from '../kernels/augment/recipes.ts'
import {
  callback,
  checkValue,
  count,
  describe,
  having,
  record,
  rule,
  text,
} from '../kernels/options.ts'
import type { Model } from '../models/model.ts'
import type { SavedEncoder } from '../training/encoder.ts'

const source = having(
  'the path of a run folder or checkpoint, or an encoder { name, build, transform, side }',
  ...['build', 'transform', 'side'],
)

const fields = { name: text, build: callback, transform: record, side: count } as const

/** Returns the encoder. Throws TypeError that names a field of another kind, or one of the
 *  transform that draws: a row would depend on its image's place in the batch. */
export function checkSavedEncoder(given: SavedEncoder): SavedEncoder {
  checkValue('embedder', 'checkpoint', given, source)
  for (const [field, wanted] of Object.entries(fields))
    if (field !== 'name' || given.name !== undefined)
      checkValue('embedder', field, (given as unknown as Record<string, unknown>)[field], wanted)
  const drawing = randomFields(given.transform)[0]
  if (drawing !== undefined)
    throw new TypeError(
      `embedder: transform must have nothing random, got ${drawing} ${describe(given.transform[drawing])}; give testTransform(recipe)`,
    )
  return given
}

const aModel = rule(
  'a model, with a function forward',
  (v) => having('', 'forward').fits(v) && callback.fits((v as Model).forward),
)

/** Returns what an encoder's `build` returned. Throws TypeError unless it is a model. */
export const checkBuilt = (model: Model): Model =>
  checkValue('embedder', 'what build returns', model, aModel)

/** The fields of a recipe that draw. Those that do the same to every image do not. */
function randomFields({ crop, translate, flip = 0, grayscale = 0, jitter, blur }: Recipe) {
  const isOdd = (p: number) => p > 0 && p < 1
  const { p: jitters = 1, ...amounts } = jitter ?? {}
  const { p: blurs = 1, sigma: [low, high] = defaults.sigma } = blur ?? { p: 0 }
  const draws = {
    ...{ crop: crop !== undefined, translate: translate !== undefined && translate.p !== 0 },
    ...{ flip: isOdd(flip), grayscale: isOdd(grayscale) },
    jitter: jitters > 0 && Object.values(amounts).some((amount) => amount > 0),
    blur: isOdd(blurs) || (blurs > 0 && low < high),
  }
  const names = ['crop', 'translate', 'flip', 'jitter', 'grayscale', 'blur'] as const
  return names.filter((name) => draws[name])
}
