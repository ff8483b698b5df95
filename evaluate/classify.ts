// Trains classifiers on a frozen encoder, and measures how well its features separate classes.

import type { Scalar, Tensor } from '../kernels/op.ts'
import { callback, checkOptions, needed } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Layer, checkGpu } from '../models/model.ts'
import { clippedCrossEntropy } from '../models/classifiers.ts'
import {
  type LabelledBatch,
  type Supervised,
  modeAt,
  supervised,
  supervisedRules,
} from './supervised.ts'

export type { LabelledBatch }

/** Options of `classifier`. */
export interface ClassifierOptions extends Pick<Supervised, 'optimizer' | 'schedule' | 'image'> {
  /** Computes features [N, F] of u8 images [N, H, W, C] without a gradient. The encoder must not
   *  change: its batch norm uses the running statistics. `step` is the step to draw augmentations
   *  for; null means none. */
  readonly features: (images: Tensor, step: Scalar | null) => Tensor
  /** Maps features [N, F] to scores [N, classes], in the mode of a model. */
  readonly classify: Layer
  /** The loss [] of scores [N, classes] and i32 labels [N]; AMDIM's `clippedCrossEntropy` by
   *  default, `crossEntropy` in most other papers. */
  readonly loss?: Supervised['loss']
  /** Seed of what the classifier draws, such as its dropout; 0 by default. */
  readonly seed?: number
}

const rules = {
  features: needed(callback),
  classify: needed(callback),
  optimizer: needed(supervisedRules.optimizer),
  schedule: needed(supervisedRules.schedule),
  image: needed(supervisedRules.image),
  loss: callback,
  seed: seedRule,
}

/** Makes a classifier of frozen features. `step(batch)` trains one step and returns the loss [],
 *  which is freed at the end of the next step. `scores(batches)`
 *  resolves to the scores [N, classes] of the images in the batches, of any sizes, and
 *  `accuracy(batches)` to the percentage that is classified right; both take a `signal` too, whose
 *  reason they reject with. `state.step` counts the steps. Throws TypeError for wrong options,
 *  ShapeError for a batch that is not whole images with one label each. */
export function classifier(gpu: Gpu, options: ClassifierOptions) {
  checkGpu('classifier', gpu)
  const checked = checkOptions('classifier', options ?? {}, rules)
  const { features, classify, loss = clippedCrossEntropy, seed = 0, ...training } = checked
  return supervised('classifier', gpu, {
    ...training,
    loss,
    score(images, step) {
      const h = gpu.noGrad(() => features(images, step))
      return classify(h, modeAt(step, seed))
    },
  })
}
