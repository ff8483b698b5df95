// Augmented Multiscale Deep InfoMax, Bachman, Hjelm & Buchwalter 2019
// (https://arxiv.org/abs/1906.00910).
//
//   N images in a batch   x1, x2 two views of each   f encoder   r1 [N, R] global features, r5 and
// r7 maps of local ones
//
// Features of one view predict those of the other, across scales: 1→5, 1→7 and 5→5 (section 3.4).

import type { IndexList } from '../kernels/wgsl/indices.ts'
import { integersOf } from '../kernels/numbers.ts'
import type { Tensor } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { concat } from '../kernels/shape/concat.ts'
import { selectPosition } from '../kernels/shape/select-position.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import { anything, callback, having, needed, orNull } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import type { AmdimEncoder, Scales } from '../models/amdim-encoder.ts'
import { type Classifiers, classifierLosses } from '../models/classifiers.ts'
import { multiscaleNce } from './multiscale.ts'
import {
  type Batch,
  type Encoder,
  type StepOptions,
  batchesOf,
  optimizerRule,
  optionsOf,
  stepRules,
} from './batches.ts'
import { type ImageBatch, labelsOf } from './image-batch.ts'

type At = { readonly step: number; readonly view: number }

export interface AmdimOptions extends StepOptions {
  readonly encoder: AmdimEncoder
  /** Trained in the same step on r1, without a gradient to the encoder, when the batch has
   *  labels. */
  readonly classifiers?: Classifiers | null
  /** Of the parameters of the encoder and the classifiers. */
  readonly optimizer: Optimizer
  /** c of the scores' c tanh(score / c): 20. */
  readonly clip?: number
  /** λ of the penalty λ mean(score²): 0.05 in the authors' code, 0.04 in the paper. */
  readonly penalty?: number
  /** Where 5→5 predicts from: places [N] of a view's map; drawn uniformly unless told. */
  readonly places?: (at: At) => Tensor
}

/** What `step` returns, in order. Classifiers' losses are there when they are trained. */
export const amdimLosses = ['loss', '1→5', '1→7', '5→5', 'penalty', 'linear', 'mlp'] as const

const rules = {
  ...{ encoder: needed(having('an encoder as amdimEncoder makes it', 'scales')) },
  ...{
    classifiers: orNull(having('classifiers', 'linear', 'mlp')),
    optimizer: needed(optimizerRule),
  },
  ...{ clip: anything, penalty: anything, places: callback },
  ...stepRules,
}

/** AMDIM training: `step(batch, labels)` makes one step and returns its losses [5], or [7] with
 *  some label in [N] (-1 where unknown; the batch's own unless given), as `amdimLosses` names
 *  them; the first is the sum of the next four, which the encoder learns from. They die when the
 *  next step ends: call `gpu.read` before that, and await it whenever you like. */
export function amdim(gpu: Gpu, chosen: AmdimOptions) {
  const options = optionsOf('amdim', gpu, chosen, rules, ({ encoder, classifiers }) =>
    classifiers ? { encoder, classifiers } : encoder,
  )
  const { encoder, classifiers = null, optimizer, schedule, clip = 20, penalty = 0.05 } = options
  const { places, seed = 0, capture = true, scaler } = options
  const state = { step: 0 }
  const { inputs, open } = batchesOf(gpu, 'amdim', { ...options, state })
  const maps: Encoder<[Tensor, Tensor, Tensor]> = (x, mode) => {
    const { r1, r5, r7 } = encoder.scales(x, mode)
    return [r1, r5, r7]
  }
  const f = (x: Batch, view: 0 | 1): Scales => {
    const [r1, r5, r7] = x.encode(maps, view)
    return { r1, r5, r7 }
  }
  const place = (r5: Tensor, view: number) =>
    selectPosition(
      r5,
      places?.({ step: state.step, view }) ?? { seed, step: () => state.step, view },
    )
  const stopped = (h: Tensor) => gpu.noGrad(() => reshape(h, h.shape))

  const captured = gpu.capture(
    (labelled: boolean, ...given: Tensor[]) => {
      const [labels, batch] = labelled ? [given[0], given.slice(1)] : [null, given]
      const x = open(batch) //                                            two views, 0 and 1
      const [one, two] = [f(x, 0), f(x, 1)] //                            encoded apart
      const sources = [place(one.r5, 0), place(two.r5, 1)] as const //    5→5 from one place of each
      const nce = multiscaleNce([one, two], sources, { clip, penalty })
      const probes =
        classifiers && labels
          ? classifierLosses(classifiers, [one.r1, two.r1].map(stopped), labels, () => state.step)
          : []
      const loss = probes.reduce((a, b) => add(a, b), nce.total) //       classifiers' parameters are their own
      optimizer.step(x.backward(loss, scaler?.scale), () => schedule(state.step), scaler)
      gpu.everyStep(() => state.step++)
      return stacked([
        nce.total,
        nce.oneToFive,
        nce.oneToSeven,
        nce.fiveToFive,
        nce.penalty,
        ...probes,
      ])
    },
    { replay: capture },
  )

  const step = (batch: ImageBatch, told?: IndexList | null): Tensor => {
    const images = inputs(batch)
    const given = told === undefined ? labelsOf(batch) : told
    const labels = given && integersOf('amdim: labels', given)
    return labels?.some((label) => label >= 0)
      ? captured.run(true, { values: labels }, ...images)
      : captured.run(false, ...images)
  }

  return { step, encoder, head: classifiers, optimizer, state, captured }
}

const stacked = (scalars: readonly Tensor[]) =>
  concat(
    scalars.map((scalar) => reshape(scalar, [1])),
    0,
  )
