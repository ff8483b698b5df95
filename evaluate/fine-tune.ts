// Trains a whole network with labels: an encoder, learned or new, and a linear classifier on it.

import { type Scalar, type Tensor, type Variable, ShapeError } from '../kernels/op.ts'
import { callback, checkOptions, count, having, needed } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import { crossEntropy } from '../kernels/loss/cross-entropy.ts'
import { restore } from '../engine/checkpoint.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { FlatOptimizer } from '../engine/optim/optimizer.ts'
import { LayerBuilder } from '../models/layers.ts'
import { type Model, checkGpu } from '../models/model.ts'
import { type Regression, regressionRule } from './regression.ts'
import { type Supervised, modeAt, supervised, supervisedRules } from './supervised.ts'

/** Options of `fineTuner`. */
export interface FineTunerOptions extends Pick<Supervised, 'schedule' | 'image'> {
  /** The encoder, which changes. */
  readonly encoder: Model
  /** Number of classes. */
  readonly classes: number
  /** Makes what the encoder sees of u8 images [N, H, W, C], such as `augment` does. `step` is the
   *  step to draw for; null means the test transform. */
  readonly views: (images: Tensor, step: Scalar | null) => Tensor
  /** Makes the optimizer of the network's parameters: the encoder's and `classifier.weight` and
   *  `classifier.bias`. */
  readonly optimizer: (parameters: Readonly<Record<string, Variable>>) => FlatOptimizer
  /** A linear probe of the encoder's own output in evaluation mode, as which the classifier begins,
   *  so that its first steps do not distort the encoder (Kumar et al. 2022,
   *  https://arxiv.org/abs/2202.10054); new weights by default. */
  readonly probe?: Regression
  /** Seed of the classifier's initial weights and of what the encoder draws; 0 by default. */
  readonly seed?: number
}

const rules = {
  encoder: needed(having('a model', 'parameters', 'norms', 'forward')),
  classes: needed(count),
  views: needed(callback),
  optimizer: needed(callback),
  schedule: needed(supervisedRules.schedule),
  image: needed(supervisedRules.image),
  probe: regressionRule,
  seed: seedRule,
}

/** Makes a training of an encoder with a linear classifier on it, by cross entropy, the encoder's
 *  batch norm in training mode. Returns `step`, `scores`, `accuracy` and `state`, as `classifier`
 *  does, and `parameters`. Scores are of evaluation mode. Throws TypeError for wrong options,
 *  ShapeError for a probe of other features or classes. */
export function fineTuner(gpu: Gpu, options: FineTunerOptions) {
  checkGpu('fineTuner', gpu)
  const checked = checkOptions('fineTuner', options ?? {}, rules)
  const { encoder, classes, views, optimizer, schedule, image, probe, seed = 0 } = checked
  const build = new LayerBuilder(gpu, seed)
  const classify = build.linear('classifier', [encoder.features, classes])
  if (probe) restore(gpu, build.parameters, headOf(probe, encoder.features, classes))
  const parameters = { ...encoder.parameters, ...build.parameters }
  const training = supervised('fineTuner', gpu, {
    ...{ schedule, image, loss: crossEntropy, optimizer: optimizer(parameters) },
    score: (images, step) => {
      const mode = modeAt(step, seed)
      const seen = gpu.noGrad(() => views(images, step))
      return classify(encoder.forward(seen, mode), mode)
    },
  })
  return { ...training, parameters }
}

/** Returns the weights that give a probe's scores for features as they are. */
function headOf({ weight, bias, scaling, ...probe }: Regression, D: number, C: number) {
  const { mean, deviation } = scaling
  if (mean.length !== D || probe.classes !== C)
    throw new ShapeError(
      `fineTuner: probe must be of ${D} features and ${C} classes, got ${mean.length} and ${probe.classes}`,
    )
  const scaled = weight.map((w, i) => w / (deviation[i % D] ?? 1))
  const shifted = bias.map(
    (b, c) => b - mean.reduce((sum, m, d) => sum + m * (scaled[c * D + d] ?? 0), 0),
  )
  return new Map([
    ['classifier.weight', { shape: [C, D], data: Float32Array.from(scaled) }],
    ['classifier.bias', { shape: [C], data: Float32Array.from(shifted) }],
  ])
}
