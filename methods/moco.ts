// Momentum Contrast, Algorithm 1 of He et al. 2020 (https://arxiv.org/abs/1911.05722), and its
// symmetric form.
//
//   f_q, f_k query and key encoder   queue K keys of earlier batches   m momentum   T temperature

import type { Tensor } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { concat } from '../kernels/shape/concat.ts'
import { infoNce } from '../kernels/loss/infonce.ts'
import { l2Normalize } from '../kernels/reduce/l2-normalize.ts'
import { anything, flag, having, needed, positive, scheduled } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { MovingAverage } from '../engine/optim/moving-average.ts'
import type { FlatOptimizer } from '../engine/optim/optimizer.ts'
import { type Schedule, scheduleOf } from '../engine/optim/schedule.ts'
import { type Tower, forwardTower, parametersOf } from '../models/tower.ts'
import type { KeyQueue } from '../models/key-queue.ts'
import {
  type Encoder,
  type StepOptions,
  batchesOf,
  flatOptimizer,
  optionsOf,
  stepRules,
  tower,
} from './batches.ts'
import type { ImageBatch } from './image-batch.ts'
import { shuffled } from './shuffled.ts'

export interface MocoOptions extends StepOptions {
  /** f_q; `key` is f_k, of the same shapes. */
  readonly query: Tower
  readonly key: Tower
  /** Over the query's parameters, in the order of `parametersOf`. */
  readonly optimizer: FlatOptimizer
  readonly queue: KeyQueue
  /** m of Eq. 2 at each step: 0.999 on ImageNet, 0.99 in the CIFAR-10 demo. */
  readonly momentum: Schedule | number
  /** T of Eq. 1: 0.07 in v1, 0.2 in v2, 0.1 in the CIFAR-10 demo. */
  readonly temperature: number
  /** Both views are queries and keys; the loss is the sum of both halves, as the CIFAR-10 demo has
   *  it. */
  readonly symmetric?: boolean
  /** Batch norm over that many groups of each batch, or chunk, as over that many GPUs; 1 by
   *  default. */
  readonly splits?: number
  /** Whether the keys' batch, or chunk, is shuffled first ("Shuffling BN", section 3.3). */
  readonly shuffle?: boolean
}

const rules = {
  ...{ query: needed(tower), key: needed(tower), optimizer: needed(flatOptimizer) },
  ...{ queue: needed(having('a KeyQueue', 'keys', 'enqueue')), momentum: needed(scheduled) },
  ...{ temperature: needed(positive), symmetric: flag, splits: anything, shuffle: flag },
  ...stepRules,
}

/** MoCo training: `step(batch)` makes one step and returns its loss [], which dies when the next
 *  step ends. The key encoder begins as a copy of the query encoder. Throws Error unless the two
 *  have the same shapes. */
export function moco(gpu: Gpu, given: MocoOptions) {
  const options = optionsOf('moco', gpu, given, rules, ({ query }) => query)
  const { query, key, optimizer, schedule, queue, temperature: T } = options
  const momentum = scheduleOf('moco', 'momentum', options.momentum)
  const {
    symmetric = false,
    splits = 1,
    shuffle = splits > 1,
    seed = 0,
    capture = true,
    scaler,
  } = options
  const state = { step: 0 }
  const { inputs, open } = batchesOf(gpu, 'moco', { ...options, state })
  const average = new MovingAverage(optimizer, parametersOf(key))
  average.update(0) //                                                       f_k.params = f_q.params
  const f_q: Encoder = (x, mode) => forwardTower(query, x, { ...mode, splits })
  const plain: Encoder = (x, mode) => l2Normalize(forwardTower(key, x, { ...mode, splits }))
  const f_k = shuffle ? shuffled(plain, { seed, state }) : plain
  const captured = gpu.capture(
    (...batch: Tensor[]) => {
      const x = open(batch) //                                               two randomly augmented versions, 0 and 1
      const k = x.keys(f_k, 1) //                                            no gradient to keys
      const half = infoNce(x.encode(f_q, 0), k, queue.keys, T) //            Eq. 1, the queue as it was before this batch
      const other = symmetric ? x.keys(f_k, 0) : null
      const loss = other ? add(half, infoNce(x.encode(f_q, 1), other, queue.keys, T)) : half
      const gradients = x.backward(loss, scaler?.scale)
      optimizer.step(gradients, () => schedule(state.step), scaler) //       update f_q
      average.update(() => momentum(state.step)) //                          f_k = m f_k + (1 - m) f_q
      queue.enqueue(other ? concat([other, k], 0) : k) //                    and dequeue the oldest
      gpu.everyStep(() => state.step++)
      return loss
    },
    { replay: capture },
  )

  const step = (batch: ImageBatch): Tensor => captured.run(...inputs(batch))
  return { step, ...query, key, optimizer, state, queue, captured }
}
