// Momentum Contrast, Algorithm 1 of He et al. 2020 (https://arxiv.org/abs/1911.05722), and its symmetric form.
//
//   f_q, f_k query and key encoder   queue K keys of earlier batches   m momentum   T temperature

import type { Tensor } from '../kernels/op.ts'
import { add } from '../kernels/add.ts'
import { concat } from '../kernels/concat.ts'
import { infoNce } from '../kernels/infonce.ts'
import { l2Normalize } from '../kernels/l2-normalize.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { LossScaler } from '../engine/loss-scaler.ts'
import { MovingAverage } from '../engine/moving-average.ts'
import type { FlatOptimizer } from '../engine/optimizer.ts'
import type { Schedule } from '../engine/schedule.ts'
import { type Tower, parametersOf, through } from '../models/tower.ts'
import type { KeyQueue } from '../models/key-queue.ts'
import { shuffled } from './shuffled.ts'
import { type ImageBatch, type Views, given, viewsOf } from './views.ts'

export interface MocoOptions {
  /** f_q; `key` is f_k, of the same shapes. */
  readonly query: Tower
  readonly key: Tower
  /** Over the query's parameters, in the order of `parametersOf`. */
  readonly optimizer: FlatOptimizer
  /** Learning rate at each step. */
  readonly schedule: Schedule
  readonly queue: KeyQueue
  /** m of Eq. 2 at each step: 0.999 on ImageNet, 0.99 in the CIFAR-10 demo. */
  readonly momentum: Schedule
  /** T of Eq. 1: 0.07 in v1, 0.2 in v2, 0.1 in the CIFAR-10 demo. */
  readonly temperature: number
  readonly views: Views
  /** Both views are queries and keys; the loss is the sum of both halves, as the CIFAR-10 demo has it. */
  readonly symmetric?: boolean
  /** Batch norm over that many groups of each batch, as over that many GPUs; 1 by default. */
  readonly splits?: number
  /** Whether the keys' batch is shuffled first ("Shuffling BN", section 3.3). */
  readonly shuffle?: boolean
  readonly seed?: number
  /** Whether steps are captured and replayed, with the same bits (the default), or run one by one. */
  readonly capture?: boolean
  /** Scales the loss, for a Gpu of precision f16. */
  readonly scaler?: LossScaler
}

/** MoCo training: `step(batch)` makes one step and returns its loss [], which dies when the next step ends. The key encoder
 *  begins as a copy of the query encoder. Throws Error unless the two have the same shapes. */
export function moco(gpu: Gpu, options: MocoOptions) {
  const { query, key, optimizer, schedule, queue, momentum, temperature: T, views } = options
  const { symmetric = false, splits = 1, shuffle = splits > 1, seed = 0, capture = true, scaler } = options
  const state = { step: 0 }
  const mode = { training: true, splits }
  const aug = viewsOf(gpu, views, { seed, state })
  const average = new MovingAverage(optimizer, parametersOf(key))
  average.update(0) //                                                       f_k.params = f_q.params
  const f_q = (x: Tensor) => through(query, x, mode)
  const plain = (x: Tensor) => through(key, x, mode)
  const f_k = shuffle ? shuffled(plain, { seed, state }) : plain
  const keys = (x: Tensor) => gpu.noGrad(() => l2Normalize(f_k(x))) //       no gradient to keys
  const captured = gpu.capture(
    (x: Tensor) => {
      const [x_q, x_k] = [aug(x, 0), aug(x, 1)] //                           two randomly augmented versions
      const k = keys(x_k)
      const half = infoNce(f_q(x_q), k, queue.keys, T) //                    Eq. 1, the queue as it was before this batch
      const other = symmetric ? keys(x_q) : null
      const loss = other ? add(half, infoNce(f_q(x_k), other, queue.keys, T)) : half
      const gradients = gpu.backward(loss, scaler?.scale)
      optimizer.step(gradients, () => schedule(state.step), scaler) //       update f_q
      average.update(() => momentum(state.step)) //                          f_k = m f_k + (1 - m) f_q
      queue.enqueue(other ? concat([other, k], 0) : k) //                    and dequeue the oldest
      gpu.everyStep(() => state.step++)
      return loss
    },
    { replay: capture },
  )

  const step = (batch: ImageBatch): Tensor => captured.run(given(batch))
  return { step, ...query, key, optimizer, state, queue, captured }
}
