// jax-js on WebGPU as a contestant.

import { installNavigator } from './dawn.js'

/** Opens the backend and makes a contestant of `build(jax)`, which returns a loss of some inputs,
 *  and these; the loss, and it with its gradients, are jitted. Its functions consume their
 *  arguments, so each call passes references. */
export async function jaxjs(settings, build) {
  installNavigator(settings)
  const jax = await import('@jax-js/jax')
  const devices = await jax.init('webgpu')
  if (!devices.includes('webgpu')) throw new Error('jax-js finds no WebGPU adapter')
  jax.defaultDevice('webgpu')
  const { loss, inputs, wrt = inputs.length } = build(jax)
  const argnums = Array.from({ length: wrt }, (_, i) => i)
  const forward = jax.jit(loss)
  const both = jax.jit((...xs) => jax.valueAndGrad(loss, { argnums })(...xs))
  const call = (f) => jax.tree.leaves(f(...inputs.map((x) => x.ref)))
  // Arrays are lazy. gpuBufferSync submits what makes one, without reading it back, and lets go of
  // it.
  const submit = (f) => call(f).forEach((y) => y.gpuBufferSync())
  return {
    calls: { forward: () => submit(forward), both: () => submit(both) },
    async read() {
      const [[lossValue], ...gradients] = await Promise.all(call(both).map((y) => y.data()))
      return { loss: lossValue, gradients }
    },
  }
}
