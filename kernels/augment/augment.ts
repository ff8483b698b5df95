// Augmentation on the GPU with torchvision's float-tensor semantics: one row of parameters per image, drawn
// or given, then the same passes over the pixels. A constant to the tape: no gradient flows to the images.

import { blurKernel } from './check.ts'
import { type Sampling, augmentShape, checkExtents, draw } from './draw.ts'
import { ROW } from './parameters.ts'
import { imagesOp, transform } from './pixels.ts'
import { type Recipe } from './recipes.ts'
import { type Op, type Run, type Tensor, dim, op } from '../op.ts'
import { anything, checkOptions, needed, said, scalar } from '../options.ts'

export type { Sampling } from './draw.ts'
export type { Recipe } from './recipes.ts'

interface Drawing {
  readonly recipe: Recipe
  readonly sampling: Sampling
}

const augmentOp: Op<[images: Tensor], [Tensor], Drawing> = {
  name: 'augment',
  shape: ({ recipe }, images) => augmentShape(recipe, images),
  forward: (run, drawing, images) => augmented(run, drawing, images, null),
}

function augmented(
  run: Run,
  { recipe, sampling }: Drawing,
  images: Tensor,
  extents: Tensor | null,
): [Tensor] {
  const shape = augmentShape(recipe, images.shape)
  const { normalize, blur: blurs, jitter, resample } = recipe
  const contrast = (jitter?.contrast ?? 0) > 0
  const blur = blurs ? blurKernel(recipe, [dim(shape, 1), dim(shape, 2)]) : 0
  const drawn = draw(run, images, recipe, sampling, extents)
  return [transform(run, images, drawn, { shape, contrast, blur, cubic: resample === 'bicubic', normalize })]
}

// the same of images that fill a part of their tensor each
const within = {
  augment: {
    name: 'augment',
    shape({ recipe }, images, extents) {
      checkExtents(recipe, images, extents)
      return augmentShape(recipe, images)
    },
    forward: augmented,
  },
  draw: {
    name: 'drawAugmentations',
    shape({ recipe }, images, extents) {
      checkExtents(recipe, images, extents)
      return [dim(augmentShape(recipe, images), 0), ROW]
    },
    forward: (run, { recipe, sampling }, images, extents) => [draw(run, images, recipe, sampling, extents)],
  },
} as const satisfies Record<string, Op<[images: Tensor, extents: Tensor], [Tensor], Drawing>>

const applyWithin = (def: (typeof within)['augment' | 'draw']) => {
  const [onFloats, onBytes] = [op(def), op({ ...def, accepts: ['u8', 'f32'] })]
  return (attrs: Drawing, images: Tensor, extents: Tensor) =>
    images.dtype === 'u8' ? onBytes(attrs, images, extents) : onFloats(attrs, images, extents)
}
const [augmentWithin, drawWithin] = [applyWithin(within.augment), applyWithin(within.draw)]

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

/** Randomly augmented images [N, h, w, 3] f32 of images [N, H, W, 3], u8 or f32 in [0, 1], by a
 *  recipe. Sample n's draws depend on (seed, step, view, offset + n) alone, so that
 *  micro-batches of one batch give the batch's views. Where images of several sizes share a
 *  tensor, `extents` [N, 2] f32 are the height and width that each fills from its upper left
 *  corner on, and the recipe must crop. Carries no gradient. Throws ShapeError, and Error naming
 *  the recipe's field that is unknown or out of range. */
export function augment(
  images: Tensor,
  recipe: Recipe,
  given: Sampling,
  extents: Tensor | null = null,
): Tensor {
  const sampling = checkOptions('augment', given ?? {}, rules)
  return extents
    ? augmentWithin({ recipe, sampling }, images, extents)
    : applyAugment({ recipe, sampling }, images)
}

/** What `augment` does to each of these images under the same arguments: rows [N, 16], for
 *  `unpackAugmentations` once read. Throws like `augment`. */
export function drawAugmentations(
  images: Tensor,
  recipe: Recipe,
  given: Sampling,
  extents: Tensor | null = null,
): Tensor {
  const sampling = checkOptions('drawAugmentations', given ?? {}, rules)
  return extents ? drawWithin({ recipe, sampling }, images, extents) : applyDraw({ recipe, sampling }, images)
}
