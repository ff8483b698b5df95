// AMDIM's loss composed of Kindred's own ops, as one writes it without a fused one: all N x N x L
// scores are stored, several times.

import { engine } from '../lib/engine.js'
import { features } from './inputs.js'

export const open = (problem, settings) =>
  engine(settings, (kindred, gpu) => {
    const { add, logSumExp, matmul, mean, mul, reshape, softplus, sub, sum, tanh } = kindred
    const { N, L, R, clip, penalty } = problem
    const inputs = features(problem)
    const sources = gpu.tensor(inputs.sources, [N, R])
    const maps = gpu.tensor(inputs.maps, [N, L, R])
    const scalar = (value) => gpu.tensor([value], [1])
    const [root, inside, outside, weight] = [1 / Math.sqrt(R), 1 / clip, clip, penalty].map(scalar)
    const identity = Float32Array.from({ length: N * N }, (_, e) =>
      Number(e % N === Math.floor(e / N)),
    )
    const own = gpu.tensor(identity, [N, N, 1])
    const never = gpu.tensor(
      identity.map((v) => v * -1e9),
      [N, N, 1],
    )
    const loss = () => {
      const raw = mul(matmul(sources, reshape(maps, [N * L, R]), { transB: true }), root)
      const s = reshape(mul(tanh(mul(raw, inside)), outside), [N, N, L])
      const positives = sum(mul(s, own), [1])
      const negatives = reshape(logSumExp(reshape(add(s, never), [N, N * L])), [N, 1])
      return add(mean(softplus(sub(negatives, positives))), mean(mul(mul(raw, raw), weight)))
    }
    return { loss, inputs: [sources, maps] }
  })
