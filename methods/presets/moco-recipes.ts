// The augmentations of MoCo's papers. They differ from the original in two ways, as every recipe
// here: grey comes after the colour jitter (in v1 before), and a blur has the width of SimCLR's
// kernel (in the original no bound).

import { type Recipe, cifarRecipe } from '../../kernels/augment/recipes.ts'

const imagenetStatistics = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const

/** MoCo v1's recipe (facebookresearch/moco, main_moco.py without --aug-plus): jitter always, hue as
 *  strong as the rest, no blur. */
export const mocoV1Recipe = (size = 224): Recipe => ({
  size,
  crop: { scale: [0.2, 1], ratio: [3 / 4, 4 / 3] },
  flip: 0.5,
  jitter: { p: 1, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.4 },
  grayscale: 0.2,
  normalize: imagenetStatistics,
})

/** MoCo v2's recipe (main_moco.py --aug-plus): SimCLR's operations at half its strength. */
export const mocoV2Recipe = (size = 224): Recipe => ({
  ...mocoV1Recipe(size),
  jitter: { p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
  blur: { p: 0.5, sigma: [0.1, 2] },
})

/** MoCo v3's two recipes (facebookresearch/moco-v3, main_moco.py): BYOL's without solarization of
 *  the second view. */
export const mocoV3Recipes = (size = 224): readonly [Recipe, Recipe] => {
  const view: Recipe = {
    ...mocoV1Recipe(size),
    jitter: { p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 },
  }
  return [
    { ...view, blur: { p: 1, sigma: [0.1, 2] } },
    { ...view, blur: { p: 0.1, sigma: [0.1, 2] } },
  ]
}

/** Instance Discrimination's recipe on CIFAR (zhirongw/lemniscate.pytorch, cifar.py): v1's jitter,
 *  crops of 0.2 to 1 of the area, no flip. */
export const instanceRecipe = (size = 32): Recipe => ({
  ...cifarRecipe(size),
  crop: { scale: [0.2, 1], ratio: [3 / 4, 4 / 3] },
  flip: 0,
  jitter: { p: 1, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.4 },
})

/** The recipe of the built-in images. Crops keep at least 0.3 of the area, so that a few periods of
 *  a pattern stay visible. */
export const demoRecipe = (size = 32): Recipe => ({
  ...cifarRecipe(size),
  crop: { scale: [0.3, 1], ratio: [3 / 4, 4 / 3] },
})
