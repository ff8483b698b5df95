// Kindred's fused loss and penalty.

import { engine } from '../lib/engine.js'
import { features } from './inputs.js'

export const open = (problem, settings) =>
  engine(settings, ({ add, nceMaps }, gpu) => {
    const { N, L, R, clip, penalty } = problem
    const inputs = features(problem)
    const sources = gpu.tensor(inputs.sources, [N, R])
    const maps = gpu.tensor(inputs.maps, [N, L, R])
    const loss = () => {
      const nce = nceMaps(sources, maps, { clip, penalty })
      return add(nce.loss, nce.penalty)
    }
    return { loss, inputs: [sources, maps] }
  })
