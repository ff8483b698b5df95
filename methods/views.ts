// The views of a batch of images: augmented by a recipe, or made by the user's own function.

import type { Tensor } from '../kernels/op.ts'
import { type Recipe, augment } from '../kernels/augment/augment.ts'
import { checkTensor } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'

/** A recipe for views, one for each of the two, or a function that makes a view [N, ...] of images
 *  [N, H, W, 3]. */
export type Views = Recipe | readonly [Recipe, Recipe] | ((images: Tensor, at: ViewOf) => Tensor)

/** The view to make, and of which images. `offset` is the first image's number in the batch. `extents`
 *  [N, 2] are the height and width that each image fills from its upper left corner on, in batches
 *  of several sizes: pass them to `augment`. */
export interface ViewOf {
  readonly step: number
  readonly view: number
  readonly offset: number
  readonly extents?: Tensor
}

/** Makes view 0 or 1 of images, without a gradient. Random draws depend on (seed, state.step, view,
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
