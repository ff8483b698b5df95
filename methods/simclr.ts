// SimCLR, Algorithm 1 of Chen et al. 2020 (https://arxiv.org/abs/2002.05709).
//
//   N images in a batch   t, t' augmentations   f encoder   g projection head   h = f(x)   z = g(h)   τ temperature

import { type Tensor, dim } from '../kernels/op.ts'
import { concat } from '../kernels/concat.ts'
import { ntXent } from '../kernels/ntxent.ts'
import { slice } from '../kernels/slice.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { LossScaler } from '../engine/loss-scaler.ts'
import type { Optimizer } from '../engine/optimizer.ts'
import type { Schedule } from '../engine/schedule.ts'
import type { Mode, Model } from '../models/layers.ts'
import { type Chunk, chunksOf, cutPixels } from './chunks.ts'
import { type Encode, gradientCache, plainGradient } from './gradient-cache.ts'
import { type ImageBatch, type Views, viewsOf } from './views.ts'

export interface SimclrOptions {
  readonly encoder: Model
  readonly head: Model
  readonly optimizer: Optimizer
  /** Learning rate at each step. */
  readonly schedule: Schedule
  /** τ of Eq. 1: 0.5 in the CIFAR-10 experiments (B.9), 0.1 on ImageNet. */
  readonly temperature: number
  /** Batch-norm statistics over both views together, as the paper's code concatenates them ('joint', 2N rows), or over each
   *  view by itself, as leftthomas/SimCLR calls the network twice ('per-view', N rows, running statistics moved twice). The
   *  two are not equal: choose the one of the results you compare with. */
  readonly batchNorm: 'per-view' | 'joint'
  /** With `chunk` a function is called twice for the same images, and must give the same both times. */
  readonly views: Views
  /** Images that are encoded at a time, at most, so that a larger batch needs no more memory for activations; all of them
   *  unless given. The gradient stays the whole batch's, save that batch norm's statistics are those of a chunk. */
  readonly chunk?: number | null
  readonly seed?: number
  /** Whether steps are captured and replayed, with the same bits (the default), or run one by one. */
  readonly capture?: boolean
  /** Scales the loss, for a Gpu of precision f16. */
  readonly scaler?: LossScaler
}

/** SimCLR training: `step(batch)` makes one step and returns its loss [], which dies when the next step ends:
 *  call `gpu.read(loss)` before that, and await it whenever you like. Throws RangeError for a chunk that is no count. */
export function simclr(gpu: Gpu, options: SimclrOptions) {
  const { encoder, head, optimizer, schedule, temperature, views } = options
  const { chunk = null, seed = 0, capture = true, scaler } = options
  if (chunk !== null && (!Number.isInteger(chunk) || chunk < 1))
    throw new RangeError(`simclr: chunk must be a whole number of images from 1 on, got ${chunk}`)
  const most = chunk ?? Infinity
  const isJoint = options.batchNorm === 'joint'
  const state = { step: 0 }
  const augmented = viewsOf(gpu, views, { seed, state })
  const t = ({ images, offset }: Chunk, view: 0 | 1) => augmented(images(), view, offset)
  const gf = (x: Tensor, mode: Mode) => head.forward(encoder.forward(x, mode), mode)
  const projections = (x: Chunk): Encode[] =>
    isJoint
      ? [(mode) => gf(concat([t(x, 0), t(x, 1)], 0), mode)]
      : [(mode) => gf(t(x, 0), mode), (mode) => gf(t(x, 1), mode)]
  const eq1 = (z: readonly Tensor[]) => {
    const pairs = isJoint ? z.flatMap(halves) : z
    return ntXent(everySecond(pairs, 0), everySecond(pairs, 1), temperature) // the mean over all 2N
  }

  const captured = gpu.capture(
    (...batch: Tensor[]) => {
      const chunks = chunksOf(batch, most) //                                   one, unless the batch is to be cut
      const z = chunks.flatMap(projections) //                                  of two augmentations t ~ T, t' ~ T
      const gradient = chunks.length > 1 ? gradientCache : plainGradient
      const { loss, gradients } = gradient(gpu, z, eq1, scaler?.scale)
      optimizer.step(gradients, () => schedule(state.step), scaler) //          update f and g to minimise it
      gpu.everyStep(() => state.step++)
      return loss
    },
    { replay: capture },
  )

  const step = (batch: ImageBatch): Tensor =>
    captured.run(...('pixels' in batch ? cutPixels(batch, most) : [batch]))

  return { step, encoder, head, optimizer, state, captured }
}

/** The two halves of a tensor's rows. */
function halves(z: Tensor): [Tensor, Tensor] {
  const rows = dim(z.shape, 0)
  return [slice(z, 0, 0, rows / 2), slice(z, 0, rows / 2, rows)]
}

/** The rows of every second tensor, from the first or the second on. */
function everySecond(z: readonly Tensor[], from: 0 | 1): Tensor {
  const chosen = z.filter((_, i) => i % 2 === from)
  return chosen.length === 1 && chosen[0] ? chosen[0] : concat(chosen, 0)
}
