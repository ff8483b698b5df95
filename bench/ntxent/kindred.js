// Kindred's fused loss.

import { engine } from '../lib/engine.js'
import { views } from './inputs.js'
import { variants } from './variants.js'

export const open = (problem, settings) =>
  engine(settings, (kindred, gpu) => {
    const { N, D, variant } = problem
    const inputs = views(problem)
    const [z1, z2] = [gpu.tensor(inputs.z1, [N, D]), gpu.tensor(inputs.z2, [N, D])]
    const labels = gpu.tensor(inputs.labels, [N])
    return {
      loss: () => variants[variant].call(kindred, { z1, z2, labels }, problem),
      inputs: [z1, z2],
    }
  })
