// Trains one cell of a few-label table: a whole network from a run or from scratch, or a linear
// classifier on the run's frozen features.

import { testTransform } from '../kernels/augment/recipes.ts'
import type { Dataset } from '../data/dataset.ts'
import { select } from '../data/select.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import { embed } from '../evaluate/embed.ts'
import { inF32 } from '../evaluate/in-f32.ts'
import { linearProbe } from '../evaluate/linear-probe.ts'
import { scoresOf } from '../evaluate/regression.ts'
import { unitFeatures } from '../evaluate/unit-features.ts'
import { recipeOf } from '../methods/views.ts'
import type { Model } from '../models/model.ts'
import { networksOf } from '../training/encoder.ts'
import { batchesInOrder, knownLabels } from '../training/knn.ts'
import type { Progress } from '../training/progress.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import type { Cell, CellSettings } from './few-label-cells.ts'
import { percentRight } from './labelled-images.ts'
import { tunedNetwork } from './whole-network.ts'

/** What every cell trains on. */
export interface FewLabels {
  readonly gpu: Gpu
  readonly config: TrainConfig
  readonly settings: CellSettings
  /** Learning rates to choose from on held-out labels; one is not chosen. */
  readonly rates: readonly number[]
  /** Loads the learned weights into an encoder. */
  readonly load: (encoder: Model) => void
  readonly train: Dataset
  readonly test: Dataset
  readonly progress: Progress
}

/** What a cell trained. */
export interface TrainedCell {
  /** Percent of all test images. */
  readonly accuracy: number
  /** Learning rate of a whole network; 0 if it is the linear probe as it is. */
  readonly lr?: number
  /** Percent of the labels held out, on which the rate was chosen. */
  readonly heldOut?: number
  /** A whole network's weights, the classifier's included. */
  readonly tensors?: ReadonlyMap<string, SavedTensor>
}

/** Trains a cell on the images at `indices`, and scores it on all test images. Throws Error if the
 *  loss is not finite. */
export function trainCell(
  few: FewLabels,
  { arm, seed }: Cell,
  indices: ArrayLike<number>,
): Promise<TrainedCell> {
  const images = select(few.train, indices)
  const encoder = () => {
    const { model } = networksOf(few.gpu, { ...few.config, seed }, 'features')
    if (arm !== 'from scratch') few.load(model)
    return model
  }
  if (arm === 'linear probe') return probed(few, encoder(), { images, seed })
  return tunedNetwork(few, { encoder, images, seed, learned: arm === 'fine-tuned' })
}

/** Fits logistic regression to the unit features of the labelled images, to convergence. */
async function probed(
  { gpu, config, test }: FewLabels,
  model: Model,
  { images, seed }: { readonly images: Dataset; readonly seed: number },
): Promise<TrainedCell> {
  const encode = unitFeatures(model, testTransform(recipeOf(config.views, 0)))
  const { height, width, channels } = images.image
  const rows = (set: Dataset) =>
    embed(gpu, encode, batchesInOrder(set), [height, width, channels] as const)
  const classes = images.classes.length
  const labels = knownLabels(images)
  const probe = await linearProbe(inF32(gpu), await rows(images), labels, { classes, seed })
  const scores = await scoresOf(inF32(gpu), await rows(test), probe)
  return { accuracy: percentRight(scores, test) }
}
