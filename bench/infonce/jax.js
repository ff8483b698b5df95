// MoCo's loss in jax-js, as its users write it.

import { jaxjs } from '../lib/jax.js'
import { moco } from './inputs.js'

export const open = (problem, settings) =>
  jaxjs(settings, ({ nn, numpy: np }) => {
    const { N, C, K, temperature } = problem
    const inputs = moco(problem)
    const unit = (x) => x.ref.div(np.sqrt(np.sum(np.square(x), 1, { keepdims: true })))
    const loss = (q, k, queue) => {
      const query = unit(q)
      const positive = np.sum(query.ref.mul(unit(k)), 1, { keepdims: true })
      const negatives = np.matmul(query, np.transpose(queue))
      const logits = np.concatenate([positive.ref, negatives], 1).mul(1 / temperature)
      return np.mean(nn.logsumexp(logits, 1)).sub(np.mean(positive).mul(1 / temperature))
    }
    const matrix = (x, rows) => np.array(x).reshape([rows, C])
    return {
      loss,
      inputs: [matrix(inputs.q, N), matrix(inputs.k, N), matrix(inputs.queue, K)],
      wrt: 1,
    }
  })
