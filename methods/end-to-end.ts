// The end-to-end mechanism of MoCo's Figure 2a (He et al. 2020, https://arxiv.org/abs/1911.05722,
// section 3.2): negatives are the other keys of the batch, and both encoders are updated by
// back-propagation.

import type { Tensor } from '../kernels/op.ts'
import { clipLoss } from '../kernels/loss/clip-loss.ts'
import { needed, positive } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import { type Tower, forwardTower } from '../models/tower.ts'
import {
  type Encoder,
  type StepOptions,
  batchesOf,
  optimizerRule,
  optionsOf,
  stepRules,
  tower,
} from './batches.ts'
import type { ImageBatch } from './image-batch.ts'

export interface EndToEndOptions extends StepOptions {
  /** f_q, and f_k: another network, or the same. */
  readonly query: Tower
  readonly key: Tower
  /** Over the parameters of both. */
  readonly optimizer: Optimizer
  readonly temperature: number
}

const rules = {
  ...{ query: needed(tower), key: needed(tower), optimizer: needed(optimizerRule) },
  temperature: needed(positive),
  ...stepRules,
}

/** End-to-end training: `step(batch)` makes one step and returns its loss [], which dies when the
 *  next step ends. The loss is Eq. 1 with the batch's N - 1 other keys as negatives, and, as the
 *  keys have a gradient too, the mean of both directions. */
export function endToEnd(gpu: Gpu, given: EndToEndOptions) {
  const options = optionsOf('endToEnd', gpu, given, rules, ({ query, key }) => ({ query, key }))
  const { query, key, optimizer, schedule, temperature, capture = true, scaler } = options
  const state = { step: 0 }
  const { inputs, open } = batchesOf(gpu, 'endToEnd', { ...options, state })
  const f_q: Encoder = (x, mode) => forwardTower(query, x, mode)
  const f_k: Encoder = (x, mode) => forwardTower(key, x, mode)

  const captured = gpu.capture(
    (...batch: Tensor[]) => {
      const x = open(batch) //                                       two randomly augmented versions, 0 and 1
      const [q, k] = [x.encode(f_q, 0), x.encode(f_k, 1)]
      const loss = clipLoss(q, k, temperature) //                        Eq. 1, normalised inside
      const gradients = x.backward(loss, scaler?.scale)
      optimizer.step(gradients, () => schedule(state.step), scaler) // update f_q and f_k
      gpu.everyStep(() => state.step++)
      return loss
    },
    { replay: capture },
  )

  const step = (batch: ImageBatch): Tensor => captured.run(...inputs(batch))
  return { step, ...query, key, optimizer, state, captured }
}
