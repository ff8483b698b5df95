// NT-Xent in TensorFlow.js, as its users write it. Its own softmaxCrossEntropy beats compositions
// of logSoftmax or logSumExp.

import { tfjs } from '../lib/tfjs.js'
import { views } from './inputs.js'

export const open = (problem, settings) =>
  tfjs(settings, (tf) => {
    const { N, D, temperature } = problem
    const M = 2 * N
    const { z1, z2 } = views(problem)
    const mask = tf.oneHot(tf.range(0, M, 1, 'int32'), M, -1e9, 0)
    const partners = Int32Array.from({ length: M }, (_, i) => (i + N) % M)
    const positives = tf.oneHot(tf.tensor1d(partners, 'int32'), M)
    const loss = (a, b) =>
      tf.tidy(() => {
        const x = tf.concat([a, b])
        const z = tf.div(x, tf.norm(x, 2, 1, true))
        const logits = tf.add(tf.mul(tf.matMul(z, z, false, true), 1 / temperature), mask)
        return tf.losses.softmaxCrossEntropy(positives, logits)
      })
    return { loss, inputs: [tf.tensor2d(z1, [N, D]), tf.tensor2d(z2, [N, D])] }
  })
