// What the device can do at most, as far as Kindred's own kernels show: a large matrix product and
// a large copy.

import * as kindred from '../../dist/node.js'
import { openEngine } from './engine.js'
import { largeCopy } from './peaks.js'

const { matmul } = kindred

/** A contestant whose calls are a matrix product (work in FLOPs) and a copy (work in bytes, read
 *  and written). */
export async function open(_, settings) {
  const gpu = await openEngine(settings)
  const size = gpu.software ? 512 : 4096
  const a = gpu.tensor(new Float32Array(size * size).fill(0.5), [size, size])
  const { copy, bytes } = largeCopy(gpu)
  return {
    calls: {
      matmul: () => gpu.step(() => matmul(a, a)),
      copy,
    },
    check: () => gpu.check(),
    work: { matmul: 2 * size ** 3, copy: bytes },
  }
}
