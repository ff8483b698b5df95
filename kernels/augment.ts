// Augmentation on the GPU with torchvision's float-tensor semantics: one row of parameters per image, drawn
// or given, then the same passes over the pixels. A constant to the tape: no gradient flows to the images.

import { blurKernel } from './augment-check.ts'
import { type Sampling, augmentShape, draw } from './augment-draw.ts'
import { ROW } from './augment-parameters.ts'
import { imagesOp, transform } from './augment-pixels.ts'
import { type Recipe } from './augment-recipes.ts'
import { type Op, type Tensor, dim } from './op.ts'
import { anything, checkOptions, needed, said, scalar } from './options.ts'

export type { Sampling } from './augment-draw.ts'
export type { Recipe } from './augment-recipes.ts'

interface Drawing {
  readonly recipe: Recipe
  readonly sampling: Sampling
}

const augmentOp: Op<[images: Tensor], [Tensor], Drawing> = {
  name: 'augment',
  shape: ({ recipe }, images) => augmentShape(recipe, images),
  forward(run, { recipe, sampling }, images) {
    const shape = augmentShape(recipe, images.shape)
    const { normalize, blur, jitter, resample } = recipe
    const contrast = (jitter?.contrast ?? 0) > 0
    const width = blur ? blurKernel(recipe, [dim(shape, 1), dim(shape, 2)]) : 0
    const drawn = draw(run, images, recipe, sampling)
    return [
      transform(run, images, drawn, {
        shape,
        contrast,
        blur: width,
        cubic: resample === 'bicubic',
        normalize,
      }),
    ]
  },
}

const drawOp: Op<[images: Tensor], [Tensor], Drawing> = {
  name: 'drawAugmentations',
  shape: ({ recipe }, images) => [dim(augmentShape(recipe, images), 0), ROW],
  forward: (run, { recipe, sampling }, images) => [draw(run, images, recipe, sampling)],
}

const rules = {
  seed: needed(said('a whole number from 0 on')),
  step: needed(scalar),
  view: needed(said('a whole number from 0 on')),
  offset: anything,
}

const applyAugment = imagesOp(augmentOp)
const applyDraw = imagesOp(drawOp)

/** Randomly augmented images [N, h, w, 3] f32 of images [N, H, W, 3], u8 or f32 in [0, 1], by a recipe.
 *  Sample n's draws depend on (seed, step, view, offset + n) alone, so that micro-batches of one batch give
 *  the batch's views. Carries no gradient. Throws ShapeError, and Error naming the recipe's field that is
 *  unknown or out of range. */
export const augment = (images: Tensor, recipe: Recipe, sampling: Sampling) =>
  applyAugment({ recipe, sampling: checkOptions('augment', sampling ?? {}, rules) }, images)

/** What `augment` does to each of these images under the same arguments: rows [N, 16], for
 *  `unpackAugmentations` once read. Throws like `augment`. */
export const drawAugmentations = (images: Tensor, recipe: Recipe, sampling: Sampling) =>
  applyDraw({ recipe, sampling: checkOptions('drawAugmentations', sampling ?? {}, rules) }, images)
