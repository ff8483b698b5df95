// MoCo's loss in TensorFlow.js, as its users write it.

import { tfjs } from '../lib/tfjs.js'
import { moco } from './inputs.js'

export const open = (problem, settings) =>
  tfjs(settings, (tf) => {
    const { N, C, K, temperature } = problem
    const inputs = moco(problem)
    const unit = (x) => tf.div(x, tf.norm(x, 2, 1, true))
    const loss = (q, k, queue) =>
      tf.tidy(() => {
        const query = unit(q)
        const positive = tf.sum(tf.mul(query, unit(k)), 1, true)
        const negatives = tf.matMul(query, queue, false, true)
        const logits = tf.mul(tf.concat([positive, negatives], 1), 1 / temperature)
        return tf.sub(tf.mean(tf.logSumExp(logits, 1)), tf.mul(tf.mean(positive), 1 / temperature))
      })
    const tensors = [tf.tensor2d(inputs.q, [N, C]), tf.tensor2d(inputs.k, [N, C])]
    return { loss, inputs: [...tensors, tf.tensor2d(inputs.queue, [K, C])], wrt: 1 }
  })
