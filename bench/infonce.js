// Checks Kindred's fused InfoNCE over MoCo's queue against float64, then times it beside the same
// loss unfused, TensorFlow.js, jax-js and PyTorch. `node bench/infonce.js --help` and
// bench/README.md explain the output.

import { moco } from './infonce/inputs.js'
import { reference } from './infonce/reference.js'
import { main } from './lib/bench.js'
import { count, parseOptions, sizes } from './lib/options.js'

const GRID = [4096, 16384, 65536, 262144, 1048576]

const flags = parseOptions('infonce', "Time the fused InfoNCE loss over MoCo's queue.", (command) =>
  command
    .option(
      '--k <list>',
      "keys in the queue, a list or 'grid' (4096 to 1048576, as far as it goes)",
      sizes,
      'grid',
    )
    .option('--n <n>', 'queries', count, 256)
    .option('--c <n>', 'features', count, 128),
)

const problem = (N, C, K) => ({ N, C, K, temperature: flags.temperature ?? 0.07, seed: 1 })

/** Counts FLOPs. One pass over the queue computes q k^T and the sum of the keys weighted by the
 *  softmax. */
const flops = ({ N, C, K }) => ({ forward: 2 * N * K * C, both: 4 * N * K * C })
/** Counts bytes: queue, queries, keys, loss; with `both` also the queries' gradient. */
function bytes({ N, C, K }) {
  const read = 4 * C * (K + 2 * N)
  return { forward: read + 4, both: read + 4 * N * C + 4 }
}

await main(
  {
    name: 'infonce',
    title: 'InfoNCE over a queue of K keys',
    axis: 'K',
    exportOf: () => 'infoNce',
    problems: ({ k, n, c }) => (k === 'grid' ? GRID : k).map((K) => problem(n, c, K)),
    checks: [
      [1, 8, 5],
      [3, 7, 33],
      [16, 130, 129],
      [33, 32, 64],
      [64, 128, 257],
      [100, 128, 1000],
    ].map(([N, C, K]) => problem(N, C, K)),
    sizeOf: ({ K }) => K,
    work: (p) => ({ ...flops(p), bytes: bytes(p) }),
    largestInput: ({ C, K }) => 4 * C * K,
    logits: ({ N, K }) => 4 * N * (K + 1),
    floor: (K, { n, c }) => bytes({ N: n, C: c, K }).both,
    reference: (p) => reference(moco(p), p),
  },
  flags,
)
