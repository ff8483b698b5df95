// The end-to-end mechanism of MoCo's Figure 2a (He et al. 2020, https://arxiv.org/abs/1911.05722, section 3.2): negatives are
// the other keys of the batch, and both encoders are updated by back-propagation.

import type { Tensor } from '../kernels/op.ts'
import { clip } from '../kernels/clip.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { LossScaler } from '../engine/loss-scaler.ts'
import type { Optimizer } from '../engine/optimizer.ts'
import type { Schedule } from '../engine/schedule.ts'
import { type Tower, through } from '../models/tower.ts'
import { type ImageBatch, type Views, given, viewsOf } from './views.ts'

export interface EndToEndOptions {
  /** f_q, and f_k: another network, or the same. */
  readonly query: Tower
  readonly key: Tower
  /** Over the parameters of both. */
  readonly optimizer: Optimizer
  /** Learning rate at each step. */
  readonly schedule: Schedule
  readonly temperature: number
  readonly views: Views
  readonly seed?: number
  /** Whether steps are captured and replayed, with the same bits (the default), or run one by one. */
  readonly capture?: boolean
  /** Scales the loss, for a Gpu of precision f16. */
  readonly scaler?: LossScaler
}

/** End-to-end training: `step(batch)` makes one step and returns its loss [], which dies when the next step ends. The loss is
 *  Eq. 1 with the batch's N - 1 other keys as negatives, and, as the keys have a gradient too, the mean of both directions. */
export function endToEnd(gpu: Gpu, options: EndToEndOptions) {
  const { query, key, optimizer, schedule, temperature, views } = options
  const { seed = 0, capture = true, scaler } = options
  const state = { step: 0 }
  const aug = viewsOf(gpu, views, { seed, state })
  const mode = { training: true }

  const captured = gpu.capture(
    (x: Tensor) => {
      const [x_q, x_k] = [aug(x, 0), aug(x, 1)] //                   two randomly augmented versions
      const [q, k] = [through(query, x_q, mode), through(key, x_k, mode)]
      const loss = clip(q, k, temperature) //                        Eq. 1, normalised inside
      const gradients = gpu.backward(loss, scaler?.scale)
      optimizer.step(gradients, () => schedule(state.step), scaler) // update f_q and f_k
      gpu.everyStep(() => state.step++)
      return loss
    },
    { replay: capture },
  )

  const step = (batch: ImageBatch): Tensor => captured.run(given(batch))
  return { step, ...query, key, optimizer, state, captured }
}
