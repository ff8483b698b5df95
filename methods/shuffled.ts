// Shuffling batch norm (He et al. 2020, https://arxiv.org/abs/1911.05722, section 3.3). The keys'
// batch is put in another order before it is split into groups, and its keys are put back, so that
// a query and its key share no statistics. Of a batch in chunks, each chunk is shuffled by itself.

import { indexSelect } from '../kernels/shape/gather.ts'
import { shuffleOrder } from '../kernels/state/shuffle-order.ts'
import type { Encoder } from './batch.ts'

/** `encode` [N, ...] -> [N, D] on a batch in another order, which depends on (seed, step), N and
 *  the number of its first image alone; the result is in the batch's own order. For keys, which
 *  carry no gradient. */
export const shuffled =
  (encode: Encoder): Encoder =>
  (x, mode) => {
    const { seed, step, offset = 0 } = mode.draws
    const { order, inverse } = shuffleOrder(x, { seed, step, offset })
    return indexSelect(encode(indexSelect(x, 0, order), mode), 0, inverse)
  }
