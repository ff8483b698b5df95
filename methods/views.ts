// The views of a batch of images: augmented by a recipe, or made by the user's own function.

import type { Tensor } from '../kernels/op.ts'
import { type Recipe, augment } from '../kernels/augment/augment.ts'
import { checkTensor } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'

/** A recipe for views, one for each of the two, or a function that makes a view [N, ...] of images
 *  [N, H, W, 3]. */
export type Views = Recipe | readonly [Recipe, Recipe] | ((images: Tensor, at: ViewOf) => Tensor)

/** The view to make, and of which images, as `augment` takes it. */
export interface ViewOf {
  /** Seed of the method's draws. */
  readonly seed: number
  /** The number of the step. A replay calls it again, so give it to ops as it is. */
  readonly step: () => number
  readonly view: number
  /** The first image's number in the batch. */
  readonly offset: number
  /** Height and width that each image fills from its upper left corner on [N, 2], in batches of
   *  several sizes. */
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
    const at = { seed, step: () => state.step, view, offset }
    if (typeof views !== 'function') return augment(images, recipeOf(views, view), at, extents)
    return gpu.noGrad(() => {
      const made = views(images, { ...at, ...(extents && { extents }) })
      checkTensor('views', 'what the function returns', made)
      return made
    })
  }

/** The recipe of a view. */
export const recipeOf = (views: Recipe | readonly [Recipe, Recipe], view: 0 | 1): Recipe =>
  isPair(views) ? views[view] : views

const isPair = (views: Recipe | readonly [Recipe, Recipe]): views is readonly [Recipe, Recipe] =>
  Array.isArray(views)
