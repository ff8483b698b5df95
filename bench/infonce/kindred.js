// Kindred's fused loss.

import { engine } from '../lib/engine.js'
import { moco } from './inputs.js'

export const open = (problem, settings) =>
  engine(settings, ({ infoNce }, gpu) => {
    const { N, C, K, temperature } = problem
    const inputs = moco(problem)
    const [q, k] = [gpu.tensor(inputs.q, [N, C]), gpu.tensor(inputs.k, [N, C])]
    const queue = gpu.variable(inputs.queue, [K, C])
    return { loss: () => infoNce(q, k, queue, temperature), inputs: [q] }
  })
