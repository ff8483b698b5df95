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
import type { Model } from '../models/layers.ts'
import { type ImageBatch, type Views, given, viewsOf } from './views.ts'

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
  readonly views: Views
  readonly seed?: number
  /** Whether steps are captured and replayed, with the same bits (the default), or run one by one. */
  readonly capture?: boolean
  /** Scales the loss, for a Gpu of precision f16. */
  readonly scaler?: LossScaler
}

/** SimCLR training: `step(batch)` makes one step and returns its loss [], which dies when the next step ends:
 *  call `gpu.read(loss)` before that, and await it whenever you like. */
export function simclr(gpu: Gpu, options: SimclrOptions) {
  const { encoder, head, optimizer, schedule, temperature, batchNorm, views } = options
  const { seed = 0, capture = true, scaler } = options
  const state = { step: 0 }
  const training = { training: true }
  const f = (x: Tensor) => encoder.forward(x, training)
  const g = (h: Tensor) => head.forward(h, training)
  const t = viewsOf(gpu, views, { seed, state })

  const captured = gpu.capture(
    (x: Tensor) => {
      const [x1, x2] = [t(x, 0), t(x, 1)] //                               two augmentations t ~ T, t' ~ T
      const [z1, z2] = batchNorm === 'joint' ? halves(g(f(concat([x1, x2], 0)))) : [g(f(x1)), g(f(x2))]
      const loss = ntXent(z1, z2, temperature) //                          Eq. 1, the mean over all 2N
      const gradients = gpu.backward(loss, scaler?.scale)
      optimizer.step(gradients, () => schedule(state.step), scaler) //     update f and g to minimise it
      gpu.everyStep(() => state.step++)
      return loss
    },
    { replay: capture },
  )

  const step = (batch: ImageBatch): Tensor => captured.run(given(batch))

  return { step, encoder, head, optimizer, state, captured }
}

/** The two halves of a tensor's rows. */
function halves(z: Tensor): [Tensor, Tensor] {
  const rows = dim(z.shape, 0)
  return [slice(z, 0, 0, rows / 2), slice(z, 0, rows / 2, rows)]
}
