// MoCo's InfoNCE in float64 (arXiv:1911.05722, Eq. 1): the positive of a query is its own key, its
// negatives are the queue.

import { contrast, pairwise, throughUnit, unit } from '../lib/reference.js'

/** {loss, gradients: [dq]}; keys and queue are constants. */
export function reference({ q, k, queue }, { N, C, K, temperature }) {
  const [queries, keys] = [unit(q, C), unit(k, C)]
  const y = new Float64Array((N + K) * C)
  y.set(keys.z)
  y.set(queue, N * C)
  const rowLoss = (s, i) => contrast(s, (j) => j === i || j >= N, [[i, 1]])
  const { loss, dx } = pairwise({ x: queries.z, y, D: C, temperature, rowLoss })
  return { loss, gradients: [throughUnit(dx, queries, C)] }
}
