// The end-to-end mechanism of MoCo's Figure 2a (He et al. 2020, https://arxiv.org/abs/1911.05722, section 3.2): negatives are
// the other keys of the batch, and both encoders are updated by back-propagation.

import type { Tensor } from '../kernels/op.ts'
import { clip } from '../kernels/clip.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Optimizer } from '../engine/optimizer.ts'
import type { Schedule } from '../engine/schedule.ts'
import { type Tower, through } from '../models/tower.ts'
import { type ImageBatch, type Views, imagesOf, viewsOf } from './views.ts'

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
}

/** End-to-end training: `step(batch)` makes one step and returns its loss [], which dies when the next step ends. The loss is
 *  Eq. 1 with the batch's N - 1 other keys as negatives, and, as the keys have a gradient too, the mean of both directions. */
export function endToEnd(gpu: Gpu, options: EndToEndOptions) {
  const { query, key, optimizer, schedule, temperature, views, seed = 0 } = options
  const state = { step: 0 }
  const aug = viewsOf(gpu, views, { seed, state })
  const mode = { training: true }

  const step = (batch: ImageBatch): Tensor =>
    gpu.step(() => {
      const x = imagesOf(gpu, batch)
      const [x_q, x_k] = [aug(x, 0), aug(x, 1)] //                   two randomly augmented versions
      const [q, k] = [through(query, x_q, mode), through(key, x_k, mode)]
      const loss = clip(q, k, temperature) //                        Eq. 1, normalised inside
      optimizer.step(gpu.backward(loss), schedule(state.step)) //    update f_q and f_k
      state.step++
      return loss
    })

  return { step, ...query, key, optimizer, state }
}
