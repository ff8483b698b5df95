// NT-Xent in jax-js, as its users write it.

import { jaxjs } from '../lib/jax.js'
import { views } from './inputs.js'

export const open = (problem, settings) =>
  jaxjs(settings, ({ nn, numpy: np }) => {
    const { N, D, temperature } = problem
    const { z1, z2 } = views(problem)
    const unit = (x) => x.ref.div(np.sqrt(np.sum(np.square(x), 1, { keepdims: true })))
    const loss = (a, b, mask) => {
      const [u, v] = [unit(a), unit(b)]
      const z = np.concatenate([u.ref, v.ref])
      const logits = np
        .matmul(z.ref, np.transpose(z))
        .mul(1 / temperature)
        .add(mask)
      const positives = np.sum(u.mul(v), 1).mul(1 / temperature)
      return np.mean(nn.logsumexp(logits, 1)).sub(np.mean(positives))
    }
    const mask = np.eye(2 * N).mul(-1e9)
    return {
      loss,
      inputs: [np.array(z1).reshape([N, D]), np.array(z2).reshape([N, D]), mask],
      wrt: 2,
    }
  })
