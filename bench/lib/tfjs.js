// TensorFlow.js on its WebGPU backend as a contestant.

import { createRequire } from 'node:module'
import { installNavigator } from './dawn.js'

/** Opens the backend and makes a contestant of `build(tf)`, which returns a loss of some inputs,
 *  these, and how many of them, from the first on, get a gradient (all). */
export async function tfjs(settings, build) {
  installNavigator(settings)
  const require = createRequire(import.meta.url)
  const [tf] = ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-webgpu'].map((name) => require(name))
  if (!(await tf.setBackend('webgpu'))) throw new Error('TensorFlow.js finds no WebGPU adapter')
  const { loss, inputs, wrt = inputs.length } = build(tf)
  const backend = tf.backend()
  const differentiated = inputs.slice(0, wrt)
  const valueAndGrads = tf.valueAndGrads((...xs) => loss(...xs, ...inputs.slice(wrt)))
  return {
    calls: {
      forward: () => loss(...inputs).dispose(),
      both() {
        const { value, grads } = valueAndGrads(differentiated)
        tf.dispose([value, grads])
      },
    },
    flush() {
      // it holds back up to 15 dispatches
      if (!backend.commandEncoder) return
      backend.endComputePassEncoder()
      backend.submitQueue()
    },
    async read() {
      const { value, grads } = valueAndGrads(differentiated)
      const [[lossValue], ...gradients] = await Promise.all([value, ...grads].map((t) => t.data()))
      tf.dispose([value, grads])
      return { loss: lossValue, gradients }
    },
  }
}
