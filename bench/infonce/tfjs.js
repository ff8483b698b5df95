// MoCo's loss in TensorFlow.js, as its users write it.

import { tfjs } from '../lib/tfjs.js'
import { moco } from './inputs.js'

export const open = (problem, settings) =>
  tfjs(settings, (tf) => {
    const { N, C, K, temperature } = problem
    const inputs = moco(problem)
    const unit = (x) => tf.div(x, tf.norm(x, 2, 1, true))
    const first = tf.oneHot(tf.zeros([N], 'int32'), K + 1)
    const loss = (q, k, queue) =>
      tf.tidy(() => {
        const query = unit(q)
        const positive = tf.sum(tf.mul(query, unit(k)), 1, true)
        const negatives = tf.matMul(query, queue, false, true)
        const logits = tf.mul(tf.concat([positive, negatives], 1), 1 / temperature)
        return tf.losses.softmaxCrossEntropy(first, logits)
      })
    const tensors = [tf.tensor2d(inputs.q, [N, C]), tf.tensor2d(inputs.k, [N, C])]
    return { loss, inputs: [...tensors, tf.tensor2d(inputs.queue, [K, C])], wrt: 1 }
  })
