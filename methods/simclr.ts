// SimCLR, Algorithm 1 of Chen et al. 2020 (https://arxiv.org/abs/2002.05709).
//
//   N images in a batch   t, t' augmentations   f encoder   g projection head   h = f(x)   z = g(h)
//   τ temperature

import { integersOf } from '../kernels/numbers.ts'
import type { Tensor, Variable } from '../kernels/op.ts'
import { having, needed, oneOf } from '../kernels/options.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import type { Model } from '../models/model.ts'
import type { LossScale } from '../models/loss-scale.ts'
import { type Tower, forwardTower } from '../models/tower.ts'
import { type Encoder, halves } from './batch.ts'
import { type ContrastiveLoss, ntXentLoss } from './contrastive-losses.ts'
import { type ImageBatch, countOf, labelsOf } from './image-batch.ts'
import { type Algorithm, type MethodOptions, method } from './method.ts'
import { model, optimizerRule } from './step-options.ts'
import { type MethodTemperature, learned, temperatureOf, temperatureRule } from './temperature.ts'

/** Options of `simclr`, besides those of every method. */
export interface SimclrOptions extends MethodOptions {
  /** Encoder f: views [N, H, W, 3] -> features [N, F]. */
  readonly encoder: Model
  /** Projection head g: features [N, F] -> embeddings [N, D]. */
  readonly head: Model
  /** Optimizer of the parameters of both, and of `scale`. */
  readonly optimizer: Optimizer
  /** τ of Eq. 1, above 0: 0.5 in the CIFAR-10 experiments (B.9), 0.1 on ImageNet. A number, a
   *  function of the step, or a variable [] that learns. */
  readonly temperature: MethodTemperature
  /** Batch-norm statistics over both views together, as the paper's code concatenates them
   *  ('joint', 2N rows), or over each view by itself, as leftthomas/SimCLR calls the network twice
   *  ('per-view', N rows, running statistics moved twice). The two are not equal: choose the one of
   *  the results you compare with. */
  readonly batchNorm: 'per-view' | 'joint'
  /** The loss of both views' embeddings: NT-Xent, Eq. 1, unless given. */
  readonly loss?: ContrastiveLoss
  /** Parameters of the loss itself: `lossScale(gpu)` for SigLIP's. */
  readonly scale?: LossScale
}

const rules = {
  ...{ encoder: needed(model), head: needed(model), optimizer: needed(optimizerRule) },
  ...{ temperature: needed(temperatureRule), batchNorm: needed(oneOf('per-view', 'joint')) },
  loss: having('a loss such as contrastiveLosses.dcl', 'of'),
  scale: having('a scale and bias as lossScale(gpu) makes them', 'logScale', 'bias'),
}

/** The networks that `simclr` returns beside `step`. */
interface Kept extends Tower {
  readonly temperature?: Variable
  readonly scale?: LossScale
}

/** SimCLR training: `step(batch)` makes one step and returns its loss [], which is freed at the
 *  end of the next step: call `gpu.read(loss)` before then, its promise may be awaited later.
 *  Throws RangeError for a chunk that is no count, and TypeError where the loss needs labels or a
 *  scale and has none. */
export const simclr: Algorithm<SimclrOptions, Kept> = method('simclr', {
  rules,
  trains: ({ encoder, head, scale, temperature }) => [
    { encoder, head },
    ...(scale ? [scale] : []),
    learned(temperature),
  ],
  begin(options, { t }) {
    const { encoder, head, batchNorm, loss = ntXentLoss, scale } = options
    const temperature = temperatureOf('simclr', options.temperature, t)
    checkScale(loss, scale)
    const gf: Encoder = (x, mode) => forwardTower({ encoder, head }, x, mode) // h = f(x), z = g(h)
    const both: Encoder<[Tensor, Tensor]> = (x, mode) => halves(gf(x, mode))
    return {
      keeps: { encoder, head, ...(scale && { scale }), ...learned(options.temperature) },
      told: loss.needsLabels ? knownLabels : null,
      step(x, labels?: Tensor) {
        const [z1, z2] = //                                                      t ~ T, t' ~ T
          batchNorm === 'joint' ? x.encode(both, 0, 1) : [x.encode(gf, 0), x.encode(gf, 1)]
        return { loss: loss.of(z1, z2, { temperature, labels, scale }) } //      Eq. 1
      },
    }
  },
})

/** Throws TypeError unless there is a scale where the loss learns one, and only there. */
function checkScale({ learnsScale = false }: ContrastiveLoss, scale?: LossScale) {
  if (learnsScale && !scale)
    throw new TypeError(
      'simclr: the loss learns a scale and a bias; give scale: lossScale(gpu), and its parameters to the optimizer',
    )
  if (!learnsScale && scale)
    throw new TypeError('simclr: the loss learns no scale; leave scale out, or choose sig-lip')
}

/** The labels of a batch. Throws TypeError where there are none, and RangeError unless each image
 *  has one. */
function knownLabels(batch: ImageBatch): Int32Array {
  const given = labelsOf(batch)
  if (!given)
    throw new TypeError(
      'simclr: the loss needs the label of each image, got none; give a batch of a data set with labels, or { pixels, shape, labels }',
    )
  const labels = integersOf('simclr: labels', given)
  const N = countOf(batch)
  if (labels.length !== N)
    throw new RangeError(`simclr: each of ${N} images needs its label, got ${labels.length}`)
  return labels
}
