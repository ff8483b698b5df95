// How the methods get their views of a batch of images.

import type { Tensor } from '../kernels/op.ts'
import { type Recipe, augment } from '../kernels/augment/augment.ts'
import { checkTensor } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'

/** How a view is made from images: a recipe, one for each view, or a function when you bring your
 *  own. */
export type Views = Recipe | readonly [Recipe, Recipe] | ((images: Tensor, at: ViewOf) => Tensor)

/** Which view of which images is to be made; `offset` is the first image's number in the batch.
 *  `extents` [N, 2] are the height and width that each image fills from its upper left corner
 *  on, where that is not all: hand them on to `augment`. */
export interface ViewOf {
  readonly step: number
  readonly view: number
  readonly offset: number
  readonly extents?: Tensor
}

/** Makes view 0 or 1 of images, off the tape, by draws that depend on (seed, state.step, view,
 *  sample) alone. */
export const viewsOf =
  (
    gpu: Gpu,
    views: Views,
    { seed, state }: { readonly seed: number; readonly state: { step: number } },
  ) =>
  (images: Tensor, view: 0 | 1, offset = 0, extents: Tensor | null = null): Tensor => {
    if (typeof views === 'function')
      return gpu.noGrad(() => {
        const made = views(images, { step: state.step, view, offset, ...(extents && { extents }) })
        checkTensor('views', 'what the function returns', made)
        return made
      })
    return augment(
      images,
      recipeOf(views, view),
      { seed, step: () => state.step, view, offset },
      extents,
    )
  }

/** The recipe of a view. */
export const recipeOf = (views: Recipe | readonly [Recipe, Recipe], view: 0 | 1): Recipe =>
  isPair(views) ? views[view] : views

const isPair = (views: Recipe | readonly [Recipe, Recipe]): views is readonly [Recipe, Recipe] =>
  Array.isArray(views)
