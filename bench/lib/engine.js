// Kindred as a contestant.

import * as kindred from '../../dist/node.js'

/** The Gpu to measure on. */
export const openEngine = ({ adapter, dtype }) =>
  kindred.openGpu({ ...(adapter && { adapter }), precision: dtype })

/** Opens a Gpu and makes a contestant of `build(kindred, gpu)`, which returns the loss as a
 *  function, and the tensors whose gradients count. */
export async function engine(settings, build) {
  const gpu = await openEngine(settings)
  const { loss, inputs } = build(kindred, gpu)
  const both = () =>
    gpu.step(() => {
      const value = loss()
      const gradients = gpu.backward(value)
      return [value, ...inputs.map((x) => gradients.of(x))]
    })
  return {
    calls: { forward: () => gpu.step(() => gpu.noGrad(loss)), both },
    async read() {
      const [value, ...gradients] = await Promise.all(both().map((t) => gpu.read(t)))
      return { loss: value[0], gradients }
    },
    check: () => gpu.check(), // its errors are caught in scopes of its own
    close: () => gpu.destroy(),
  }
}
