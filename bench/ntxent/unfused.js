// NT-Xent composed of Kindred's own ops, as one writes it without a fused one: all (2N)^2 logits
// are stored.

import { engine } from '../lib/engine.js'
import { views } from './inputs.js'

export const open = (problem, settings) =>
  engine(settings, (kindred, gpu) => {
    const { concat, crossEntropy, l2Normalize, matmul, mul, add } = kindred
    const { N, D, temperature } = problem
    const M = 2 * N
    const inputs = views(problem)
    const [z1, z2] = [gpu.tensor(inputs.z1, [N, D]), gpu.tensor(inputs.z2, [N, D])]
    const mask = diagonal(kindred, gpu, M)
    const scale = gpu.tensor([1 / temperature], [1])
    const positives = gpu.tensor(
      Int32Array.from({ length: M }, (_, i) => (i + N) % M),
      [M],
    )
    const loss = () => {
      const z = l2Normalize(concat([z1, z2], 0))
      const logits = mul(matmul(z, z, { transB: true }), scale)
      return crossEntropy(add(logits, mask), positives)
    }
    return { loss, inputs: [z1, z2] }
  })

/** [M, M], -1e9 on the diagonal and 0 elsewhere: no view is compared with itself. */
function diagonal({ elementwise, flatIndex, kernel }, gpu, M) {
  const [mask] = gpu.run(
    kernel`
      struct Params { M: u32 }
      @group(0) @binding(0) var<storage, read_write> mask: array<f32>; // [M, M]
      @group(0) @binding(1) var<uniform>             p:    Params;
      ${flatIndex}
      @compute @workgroup_size(64)
      fn diagonal(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
        let i = flat(id, groups);
        if (i < p.M * p.M) { mask[i] = select(0.0, -1e9, i / p.M == i % p.M); }
      }
    `,
    { makes: [[M, M]], params: { M }, groups: elementwise(M * M) },
  )
  return mask
}
