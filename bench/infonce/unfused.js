// MoCo's loss composed of Kindred's own ops, as one writes it without a fused one: all N (1 + K)
// logits are stored.

import { engine } from '../lib/engine.js'
import { moco } from './inputs.js'

export const open = (problem, settings) =>
  engine(settings, (kindred, gpu) => {
    const { concat, crossEntropy, l2Normalize, matmul, mul, reshape, sum } = kindred
    const { N, C, K, temperature } = problem
    const inputs = moco(problem)
    const [q, k] = [gpu.tensor(inputs.q, [N, C]), gpu.tensor(inputs.k, [N, C])]
    const variable = gpu.variable(inputs.queue, [K, C])
    const queue = gpu.noGrad(() => reshape(variable, [K, C])) // the same memory, and no gradient flows to it
    const scale = gpu.tensor([1 / temperature], [1])
    const first = gpu.tensor(new Int32Array(N), [N]) // the positive is class 0
    const loss = () => {
      const query = l2Normalize(q)
      const key = gpu.noGrad(() => l2Normalize(k))
      const positive = sum(mul(query, key), [1], { keepDims: true })
      const negatives = matmul(query, queue, { transB: true })
      return crossEntropy(mul(concat([positive, negatives], 1), scale), first)
    }
    return { loss, inputs: [q] }
  })
