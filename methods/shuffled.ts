// Shuffling batch norm (He et al. 2020, https://arxiv.org/abs/1911.05722, section 3.3): the keys'
// batch is put in another order before it is split into groups, and its keys back in theirs, so
// that a query and its key share no statistics. A chunk is a batch here.

import { indexSelect } from '../kernels/shape/gather.ts'
import { shuffleOrder } from '../kernels/state/shuffle-order.ts'
import type { Encoder } from './batches.ts'

/** `encode` [N, ...] -> [N, D] on a batch in an order that depends on (seed, state.step), N and the
 *  number of its first image alone; the result is in the batch's own order. Off the tape only:
 *  shuffling draws anew for each batch that it sees, not for each step's use. */
export const shuffled =
  (
    encode: Encoder,
    { seed, state }: { readonly seed: number; readonly state: { readonly step: number } },
  ): Encoder =>
  (x, mode, offset) => {
    const { order, inverse } = shuffleOrder(x, { seed, step: () => state.step, offset })
    return indexSelect(encode(indexSelect(x, 0, order), mode, offset), 0, inverse)
  }
