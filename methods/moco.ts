// Momentum Contrast, Algorithm 1 of He et al. 2020 (https://arxiv.org/abs/1911.05722), and its
// symmetric form.
//
//   f_q, f_k query and key encoder   queue K keys of earlier batches   m momentum   T temperature

import type { Variable } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { concat } from '../kernels/shape/concat.ts'
import { infoNce } from '../kernels/loss/infonce.ts'
import { l2Normalize } from '../kernels/reduce/l2-normalize.ts'
import { anything, flag, having, needed, scheduled } from '../kernels/options.ts'
import type { MovingAverage } from '../engine/optim/moving-average.ts'
import type { FlatOptimizer } from '../engine/optim/optimizer.ts'
import { type Schedule, scheduleOf } from '../engine/optim/schedule.ts'
import { type Tower, forwardTower } from '../models/tower.ts'
import type { KeyQueue } from '../models/key-queue.ts'
import type { Encoder } from './batch.ts'
import { type Algorithm, type MethodOptions, method } from './method.ts'
import { keyAverage } from './key-average.ts'
import { shuffled } from './shuffled.ts'
import { flatOptimizer, tower } from './step-options.ts'
import { type MethodTemperature, learned, temperatureOf, temperatureRule } from './temperature.ts'

/** Options of `moco`, besides those of every method. */
export interface MocoOptions extends MethodOptions {
  /** Encoder and head f_q: views [N, H, W, 3] -> queries [N, C]. */
  readonly query: Tower
  /** Encoder and head f_k, of the query's shapes. It follows the query and is not trained. */
  readonly key: Tower
  /** Optimizer of the query's parameters, in the order of `parametersOf`, then of others, such as a
   *  temperature that learns. */
  readonly optimizer: FlatOptimizer
  /** The keys of earlier batches, [K, C]: the negatives. */
  readonly queue: KeyQueue
  /** m of Eq. 2 at each step: 0.999 on ImageNet, 0.99 in the CIFAR-10 demo. */
  readonly momentum: Schedule | number
  /** T of Eq. 1, above 0: 0.07 in v1, 0.2 in v2, 0.1 in the CIFAR-10 demo. A number, a function of
   *  the step, or a variable [] that learns. */
  readonly temperature: MethodTemperature
  /** True makes both views queries and keys; the loss is the sum of both halves, as in the CIFAR-10
   *  demo; false by default. */
  readonly symmetric?: boolean
  /** Groups of each batch, or chunk, for batch norm, as over that many GPUs; 1 by default. */
  readonly splits?: number
  /** True shuffles the keys' batch, or chunk, first ("Shuffling BN", section 3.3); by default with
   *  more than one split. */
  readonly shuffle?: boolean
}

const rules = {
  ...{ query: needed(tower), key: needed(tower), optimizer: needed(flatOptimizer) },
  ...{ queue: needed(having('a KeyQueue', 'keys', 'enqueue')), momentum: needed(scheduled) },
  ...{ temperature: needed(temperatureRule), symmetric: flag, splits: anything, shuffle: flag },
}

/** The query's encoder and head, the key's, what makes it follow, and the queue: `moco` returns
 *  them beside `step`. */
type Kept = Tower & {
  readonly key: Tower
  readonly average: MovingAverage
  readonly queue: KeyQueue
  readonly temperature?: Variable
}

/** MoCo training: `step(batch)` makes one step and returns its loss [], which is freed at the end
 *  of the next step. The key encoder begins as a copy of the query encoder. Throws Error unless the
 *  two have the same shapes. */
export const moco: Algorithm<MocoOptions, Kept> = method('moco', {
  rules,
  trains: ({ query, temperature }) => [query, learned(temperature)],
  begin(options, { t }) {
    const { query, key, optimizer, queue, symmetric = false } = options
    const { splits = 1, shuffle = splits > 1 } = options
    const m = scheduleOf('moco', 'momentum', options.momentum)
    const T = temperatureOf('moco', options.temperature, t)
    const average = keyAverage(optimizer, query, key)
    average.update(0) //                                                    f_k.params = f_q.params
    const f_q: Encoder = (x, mode) => forwardTower(query, x, { ...mode, splits })
    const plain: Encoder = (x, mode) => l2Normalize(forwardTower(key, x, { ...mode, splits }))
    const f_k = shuffle ? shuffled(plain) : plain
    return {
      keeps: { ...query, key, average, queue, ...learned(options.temperature) },
      step(x) {
        const k = x.keys(f_k, 1) //                                         no gradient to keys
        const half = infoNce(x.encode(f_q, 0), k, queue.keys, T) //         Eq. 1, older keys only
        const other = symmetric ? x.keys(f_k, 0) : null //                  views 0 and 1 swapped
        const loss = other ? add(half, infoNce(x.encode(f_q, 1), other, queue.keys, T)) : half
        const after = () => {
          average.update(() => m(t())) //                                   Eq. 2, f_k follows f_q
          queue.enqueue(other ? concat([other, k], 0) : k) //               and dequeue the oldest
        }
        return { loss, after }
      },
    }
  },
})
