// The features that evaluation compares: those of images under the test transform, as unit rows.

import type { Tensor } from '../kernels/op.ts'
import { type Recipe, augment } from '../kernels/augment/augment.ts'
import { l2Normalize } from '../kernels/reduce/l2-normalize.ts'
import type { Model } from '../models/model.ts'

const still = { seed: 0, step: 0, view: 0 } // a test transform draws nothing

/** Returns the function from u8 images [N, H, W, 3] to rows [N, D] of length 1: the model's output,
 *  in evaluation mode, for the images under `transform`; null gives it the images as they are. An
 *  output of zeros stays zeros. */
export const unitFeatures =
  ({ forward }: Pick<Model, 'forward'>, transform: Recipe | null) =>
  (images: Tensor): Tensor =>
    l2Normalize(
      forward(transform ? augment(images, transform, still) : images, { training: false }),
    )
