// Augmentation on the GPU with the semantics of torchvision's float tensors. Each image has one
// row of parameters, drawn or given; then passes over the pixels apply them. A constant to the
// tape: images get no gradient.

import { blurSize } from './check.ts'
import { type Sampling, augmentShape, checkExtents, draw } from './draw.ts'
import { ROW } from './parameters.ts'
import { imagesOp, transform } from './pixels.ts'
import type { Recipe } from './recipes.ts'
import { type Op, type Run, type Tensor, dim, op } from '../op.ts'
import { anything, checkOptions, needed, said, scalar } from '../options.ts'
import { seedRule } from '../seeds.ts'

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
  const blur = blurs ? blurSize(recipe, [dim(shape, 1), dim(shape, 2)]) : 0
  const drawn = draw(run, images, recipe, sampling, extents)
  return [
    transform(run, images, drawn, {
      shape,
      contrast,
      blur,
      cubic: resample === 'bicubic',
      normalize,
    }),
  ]
}

// The same ops for images that fill only a part of their tensor.
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
    forward: (run, { recipe, sampling }, images, extents) => [
      draw(run, images, recipe, sampling, extents),
    ],
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
  seed: needed(said(seedRule.words)),
  step: needed(scalar),
  view: needed(said(seedRule.words)),
  offset: anything,
}

const applyAugment = imagesOp(augmentOp)
const applyDraw = imagesOp(drawOp)

/** Augments images [N, H, W, 3], u8 or f32 in [0, 1], by a recipe -> [N, h, w, 3] f32. Sample n's
 *  draws depend on (seed, step, view, offset + n) alone, so that micro-batches of a batch give the
 *  batch's views. Where images of several sizes share a tensor, `extents` [N, 2] f32 are the
 *  height and width that each fills from its upper left corner, and the recipe must crop. Carries
 *  no gradient. Throws ShapeError, and Error naming the field of the recipe that is unknown or out
 *  of range. */
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

/** Draws what `augment` does to each image under the same arguments: rows [N, 16], which
 *  `unpackAugmentations` reads. Throws like `augment`. */
export function drawAugmentations(
  images: Tensor,
  recipe: Recipe,
  given: Sampling,
  extents: Tensor | null = null,
): Tensor {
  const sampling = checkOptions('drawAugmentations', given ?? {}, rules)
  return extents
    ? drawWithin({ recipe, sampling }, images, extents)
    : applyDraw({ recipe, sampling }, images)
}
