// What a set's unit features are like: how near two views of an image are, how evenly the images
// spread, and in how many dimensions.

import { augment } from '../kernels/augment/augment.ts'
import { type Recipe, testTransform } from '../kernels/augment/recipes.ts'
import { alignment } from '../kernels/loss/alignment.ts'
import { uniformity } from '../kernels/loss/uniformity.ts'
import type { Tensor } from '../kernels/op.ts'
import type { Dataset } from '../data/dataset.ts'
import { subset } from '../data/select.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Embeddings, embed } from '../evaluate/embed.ts'
import { spectrum, spreadOfUnitRows } from '../evaluate/measure/spectrum.ts'
import { unitFeatures } from '../evaluate/unit-features.ts'
import { recipeOf } from '../methods/views.ts'
import type { Model } from '../models/model.ts'
import { batchesInOrder } from '../training/knn.ts'
import type { TrainConfig } from '../training/run-schema.ts'

const MOST = 1000 // images: the spectrum takes their number squared
const COLLAPSED = 0.1 // of the even deviation

/** What unit features are like. */
export interface FeatureMeasures {
  /** Number of test images that are measured. */
  readonly measuredOn: number
  /** Mean squared distance of two augmented views of an image: 0 is best. */
  readonly alignment: number
  /** Log of the mean of exp(-2 d²) over pairs of images: 0 is worst; null for a single image. */
  readonly uniformity: number | null
  /** exp of the entropy of the singular values' shares, from 1 to `dimensions`. */
  readonly effectiveRank: number
  /** min(images, D). */
  readonly dimensions: number
  /** Mean over D of the standard deviation: 0 when collapsed. */
  readonly deviation: number
  /** Its value when features spread evenly, 1 / sqrt(D). */
  readonly evenDeviation: number
  /** True when the deviation is below a tenth of the even one. */
  readonly collapsed: boolean
}

/** Measures the encoder's features of at most 1000 images, balanced by class, in evaluation mode.
 *  Two views of each are augmented as in the run, by its seed. */
export async function featureMeasures(
  gpu: Gpu,
  encoder: Model,
  { views, seed }: Pick<TrainConfig, 'views' | 'seed'>,
  images: Dataset,
): Promise<FeatureMeasures> {
  const some = subset(images, MOST, 0)
  const { height, width, channels } = some.image
  const rows = (encode: (x: Tensor) => Tensor) =>
    embed(gpu, encode, batchesInOrder(some), [height, width, channels])
  const viewed = (view: 0 | 1) => rows(augmented(encoder, recipeOf(views, view), { seed, view }))
  const plain = await rows(unitFeatures(encoder, testTransform(recipeOf(views, 0))))
  const [first, second] = [await viewed(0), await viewed(1)]
  const tensor = ({ features, M, D }: Embeddings) => gpu.tensor(features, [M, D])
  const value = (of: () => Tensor) => gpu.item(gpu.step(() => gpu.noGrad(of)))
  const { M, D } = plain
  const deviation = spreadOfUnitRows(plain)
  return {
    measuredOn: M,
    alignment: await value(() => alignment(tensor(first), tensor(second))),
    uniformity: M < 2 ? null : await value(() => uniformity(tensor(plain))),
    effectiveRank: spectrum(plain).effectiveRank,
    dimensions: Math.min(M, D),
    deviation,
    evenDeviation: 1 / Math.sqrt(D),
    collapsed: M > 1 && deviation < COLLAPSED / Math.sqrt(D),
  }
}

/** Returns the function from images to unit features of a view. Each batch draws anew. */
function augmented(
  { forward }: Model,
  recipe: Recipe,
  { seed, view }: { readonly seed: number; readonly view: number },
) {
  let step = 0
  return unitFeatures(
    { forward: (x, mode) => forward(augment(x, recipe, { seed, step: step++, view }), mode) },
    null,
  )
}
