// Checks AMDIM's fused loss of global features with maps of local ones against float64, then times
// it beside the same loss unfused. `node bench/nce-maps.js --help` and bench/README.md explain the
// output.

import { reference } from './nce-maps/reference.js'
import { features } from './nce-maps/inputs.js'
import { main } from './lib/bench.js'
import { count, parseOptions, sizes } from './lib/options.js'

const GRID = [32, 64, 128, 256, 480]

const flags = parseOptions(
  'nce-maps',
  "Time AMDIM's fused loss of N vectors with N maps of L places, its penalty included. There are no peers.",
  (command) =>
    command
      .option(
        '--n <list>',
        "images, a list or 'grid' (32 to 480, as far as it goes)",
        sizes,
        'grid',
      )
      .option('--l <n>', 'places of a map: 25 or 49', count, 49)
      .option('--r <n>', 'features', count, 2048),
)

const problem = (N, L, R) => ({ N, L, R, clip: 20, penalty: 0.05, seed: 1 })

/** Counts the FLOPs of the unfused loss: all scores forward, and backward one product for each
 *  input's gradient. (The fused loss computes the scores three times.) */
const flops = ({ N, L, R }) => ({ forward: 2 * N * N * L * R, both: 6 * N * N * L * R })
/** Counts bytes: vectors, maps, losses; with `both` also the gradients. */
function bytes({ N, L, R }) {
  const read = 4 * R * N * (1 + L)
  return { forward: read + 8, both: 2 * read + 8 }
}

await main(
  {
    name: 'nce-maps',
    title: 'AMDIM, N vectors with N maps',
    axis: 'N',
    exportOf: () => 'nceMaps',
    problems: ({ n, l, r }) => (n === 'grid' ? GRID : n).map((N) => problem(N, l, r)),
    checks: [
      [1, 1, 8],
      [3, 4, 7],
      [33, 2, 20],
      [16, 25, 65],
      [65, 3, 32],
      [24, 49, 64],
    ].map(([N, L, R]) => problem(N, L, R)),
    sizeOf: ({ N }) => N,
    work: (p) => ({ ...flops(p), bytes: bytes(p) }),
    largestInput: ({ N, L, R }) => 4 * N * L * R,
    logits: ({ N, L }) => 4 * N * N * L,
    floor: (N, { l, r }) => bytes({ N, L: l, R: r }).both,
    reference: (p) => reference(features(p), p),
  },
  { ...flags, peers: false },
)
