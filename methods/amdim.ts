// Augmented Multiscale Deep InfoMax, Bachman, Hjelm & Buchwalter 2019 (https://arxiv.org/abs/1906.00910).
//
//   N images in a batch   x1, x2 two views of each   f encoder   r1 [N, R] global features, r5 and r7 maps of local ones
//
// Features of one view predict those of the other, across scales: 1→5, 1→7 and 5→5 (section 3.4).

import type { Tensor } from '../kernels/op.ts'
import { type Recipe, augment } from '../kernels/augment.ts'
import { add } from '../kernels/add.ts'
import { concat } from '../kernels/concat.ts'
import { pickPlace } from '../kernels/pick-place.ts'
import { reshape } from '../kernels/reshape.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Optimizer } from '../engine/optimizer.ts'
import type { Schedule } from '../engine/schedule.ts'
import type { AmdimEncoder } from '../models/amdim-encoder.ts'
import { type Classifiers, classifierLosses } from '../models/classifiers.ts'
import { multiscaleNce } from './multiscale.ts'
import type { ImageBatch } from './simclr.ts'

type At = { readonly step: number; readonly view: number }

export interface AmdimOptions {
  readonly encoder: AmdimEncoder
  /** Trained in the same step on r1, without a gradient to the encoder, when the batch has labels. */
  readonly classifiers?: Classifiers | null
  /** Of the parameters of the encoder and the classifiers. */
  readonly optimizer: Optimizer
  /** Learning rate at each step. */
  readonly schedule: Schedule
  /** c of the scores' c tanh(score / c): 20. */
  readonly clip?: number
  /** λ of the penalty λ mean(score²): 0.05 in the authors' code, 0.04 in the paper. */
  readonly penalty?: number
  /** How a view is made from images: a recipe, or a function when you bring your own. */
  readonly views: Recipe | ((images: Tensor, at: At) => Tensor)
  /** Where 5→5 predicts from: places [N] of a view's map; drawn uniformly unless told. */
  readonly places?: (at: At) => Tensor
  readonly seed?: number
}

/** What `step` returns, in order. Classifiers' losses are there when they are trained. */
export const amdimLosses = ['loss', '1→5', '1→7', '5→5', 'penalty', 'linear', 'mlp'] as const

/** AMDIM training: `step(batch, labels)` makes one step and returns its losses [5], or [7] with labels [N] (i32, -1 where unknown),
 *  as `amdimLosses` names them; the first is the sum of the next four, which the encoder learns from. They die when the next step
 *  ends: call `gpu.read` before that, and await it whenever you like. */
export function amdim(gpu: Gpu, options: AmdimOptions) {
  const { encoder, classifiers = null, optimizer, schedule, clip = 20, penalty = 0.05, seed = 0 } = options
  const { views, places = (at: At) => ({ seed, ...at }) } = options
  const state = { step: 0 }
  const at = (view: number) => ({ step: state.step, view })
  const t = (images: Tensor, view: number) =>
    typeof views === 'function'
      ? gpu.noGrad(() => views(images, at(view))) // no gradient goes to the images
      : augment(images, views, { seed, ...at(view) })
  const f = (x: Tensor) => encoder.scales(x, { training: true })

  const step = (batch: ImageBatch, labels: Int32Array | null = null): Tensor =>
    gpu.step(() => {
      const x = 'pixels' in batch ? gpu.tensor(batch.pixels, batch.shape) : batch
      const [one, two] = [f(t(x, 0)), f(t(x, 1))] //                     two views, encoded apart
      const [p1, p2] = [pickPlace(one.r5, places(at(0))), pickPlace(two.r5, places(at(1)))]
      const nce = multiscaleNce([one, two], [p1, p2], { clip, penalty })
      const { oneToFive, oneToSeven, fiveToFive, penalty: cost, total } = nce
      const known = labels && classifiers ? gpu.tensor(labels, [labels.length]) : null
      const heads =
        known && classifiers
          ? classifierLosses(classifiers, [one.r1, two.r1].map(stopped), known, state.step)
          : []
      optimizer.step(gpu.backward(heads.reduce((a, b) => add(a, b), total)), schedule(state.step))
      state.step++
      return stacked([total, oneToFive, oneToSeven, fiveToFive, cost, ...heads])
    })

  /** The same numbers, through which no gradient goes back. */
  const stopped = (h: Tensor) => gpu.noGrad(() => add(h, gpu.tensor([0], [])))

  return { step, encoder, head: classifiers, optimizer, state }
}

const stacked = (scalars: readonly Tensor[]) =>
  concat(
    scalars.map((scalar) => reshape(scalar, [1])),
    0,
  )
