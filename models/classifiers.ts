// AMDIM's classifiers of frozen features (model.py, Evaluator; costs.py, loss_xent): a linear one
// and one with a hidden layer. They train beside the encoder, without a gradient to it, or later.

import { type Tensor, dim } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { affine } from '../kernels/wgsl/affine.ts'
import { crossEntropy } from '../kernels/loss/cross-entropy.ts'
import { mean } from '../kernels/reduce/mean.ts'
import { mul } from '../kernels/elementwise/mul.ts'
import type { Draws } from '../kernels/wgsl/draws.ts'
import { tanh } from '../kernels/elementwise/tanh.ts'
import { checkOptions, count, needed, share } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Builder } from './builder.ts'
import { type Layer, type Model, checkGpu, checkedForward, printedModel } from './model.ts'

/** Options of `classifiers`. */
export interface ClassifiersOptions {
  /** F, the size of the features. */
  readonly features: number
  /** Number of classes. */
  readonly classes: number
  /** Size of the hidden layer; the authors' 1024 by default. */
  readonly hidden?: number
  /** Share of each linear layer's inputs that training drops; the authors' 0.2 by default. */
  readonly dropout?: number
  /** Seed of the initial weights; 0 by default. */
  readonly seed?: number
}

/** A linear classifier and one with a hidden layer, from features h [N, F] to scores
 *  [N, classes]. As a model, its forward is the linear one without dropout. Parameters have the
 *  authors' names. In training the mode needs `draws`, unless `dropout` is 0. */
export interface Classifiers extends Model {
  /** Dropout, Linear. */
  readonly linear: Layer
  /** Dropout, Linear without bias, batch norm, ReLU, dropout, Linear. */
  readonly mlp: Layer
}

const rules = {
  ...{
    features: needed(count),
    classes: needed(count),
    hidden: count,
    dropout: share,
    seed: seedRule,
  },
}

/** Makes AMDIM's two classifiers of features [N, F]: `linear`, and `mlp`, which is Linear without
 *  bias, batch norm, ReLU, Linear. Dropout comes before every linear layer. Throws TypeError for
 *  wrong options. */
export function classifiers(gpu: Gpu, options: ClassifiersOptions): Classifiers {
  checkGpu('classifiers', gpu)
  const checked = checkOptions('classifiers', options ?? {}, rules)
  const { features, classes, hidden = 1024, dropout: p = 0.2, seed = 0 } = checked
  const build = new Builder(gpu, seed)
  const only = build.linear('block_glb_lin.block_forward.2', [features, classes])
  const first = build.linear('block_glb_mlp.block_forward.2', [features, hidden], { bias: false })
  const norm = build.norm('block_glb_mlp.block_forward.3', hidden)
  const second = build.linear('block_glb_mlp.block_forward.6', [hidden, classes])
  const before = [
    build.dropout('block_glb_lin.block_forward.1', p),
    build.dropout('block_glb_mlp.block_forward.1', p),
    build.dropout('block_glb_mlp.block_forward.5', p),
  ] as const
  const linear: Layer = (h, mode) => only(before[0](h, mode), mode)
  return printedModel('classifiers', {
    parameters: build.parameters,
    norms: build.norms,
    features: classes,
    forward: (h) => linear(h, { training: false }),
    linear: checkedForward('classifiers.linear', linear),
    mlp: checkedForward('classifiers.mlp', (h, mode) => {
      const between = norm(first(before[1](h, mode), mode), mode, { relu: true })
      return second(before[2](between, mode), mode)
    }),
  })
}

const CLIP = 10
const UNKNOWN = -1

/** crossEntropy(10 tanh(scores / 10), labels) + 0.001 mean(scores²): AMDIM's loss (costs.py,
 *  loss_xent) of scores [N, classes] and i32 labels [N] -> []. Cross entropy is averaged over the
 *  images whose label is not -1; NaN when there is none. Differentiable in the scores. Throws
 *  ShapeError. */
export function clippedCrossEntropy(scores: Tensor, labels: Tensor): Tensor {
  const clipped = affine(tanh(affine(scores, 1 / CLIP, 0)), CLIP, 0)
  const squares = mean(mul(scores, scores))
  return add(crossEntropy(clipped, labels, { ignoreIndex: UNKNOWN }), affine(squares, 1e-3, 0))
}

/** Returns the losses [] of both classifiers, each the mean over the views. A view is features h
 *  [N, F]; labels are [N]. Dropout depends on `draws` and the number of the view. Throws Error
 *  without a view. */
export function classifierLosses(
  { linear, mlp }: Classifiers,
  views: readonly Tensor[],
  labels: Tensor,
  draws: Draws,
): readonly [linear: Tensor, mlp: Tensor] {
  const over = (classify: Layer) => {
    const losses = views.map((h, view) =>
      clippedCrossEntropy(classify(h, { training: true, draws: { ...draws, view } }), labels),
    )
    const [first, ...others] = losses
    if (!first)
      throw new Error(
        `classifierLosses: needs at least one view, got none for ${dim(labels.shape, 0)} labels`,
      )
    return affine(
      others.reduce((a, b) => add(a, b), first),
      1 / losses.length,
      0,
    )
  }
  return [over(linear), over(mlp)]
}
