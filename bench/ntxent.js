// Checks Kindred's fused losses over pairs of views against float64, then times them beside the
// same losses unfused, TensorFlow.js, jax-js and PyTorch. `node bench/ntxent.js --help` and
// bench/README.md explain the output.

import { InvalidArgumentError } from 'commander'
import { main } from './lib/bench.js'
import { count, list, parseOptions, sizes } from './lib/options.js'
import { views } from './ntxent/inputs.js'
import { variants } from './ntxent/variants.js'

const GRID = [256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072] // rows, 2N

/** Parses sizes 2N, each even. */
function evenSizes(text) {
  const all = sizes(text)
  if (all !== 'grid' && all.some((n) => n % 2 === 1))
    throw new InvalidArgumentError('two views of each image make an even number of rows.')
  return all
}

/** Parses names of variants; 'all' means every one. */
function known(text) {
  const names = text === 'all' ? Object.keys(variants) : list(text)
  const unknown = names.find((name) => !(name in variants))
  if (unknown)
    throw new InvalidArgumentError(
      `there is no ${unknown}; there are ${Object.keys(variants).join(', ')}.`,
    )
  return names
}

const about = Object.entries(variants).map(([name, v]) => `  ${name.padEnd(8)} ${v.about}`)
const flags = parseOptions(
  'ntxent',
  'Time the fused contrastive losses over pairs of views.',
  (command) =>
    command
      .option(
        '--n <list>',
        "rows 2N, a list or 'grid' (256 to 131072, as far as it goes)",
        evenSizes,
        'grid',
      )
      .option('--d <n>', 'features of a view', count, 128)
      .option('--variant <list>', 'losses to time, or all; see below', known, ['ntxent'])
      .addHelpText('after', `\nVariants:\n${about.join('\n')}`),
)

const problem = (N, D, temperature = 0.5) => ({
  N,
  D,
  temperature: flags.temperature ?? temperature,
  seed: 1,
})
const bytes = ({ N, D }) => ({ forward: 8 * N * D + 4, both: 16 * N * D + 4 })

await main(
  {
    name: 'ntxent',
    title: 'Contrastive losses over 2N views',
    axis: '2N',
    variants: Object.keys(variants),
    exportOf: (variant) => variants[variant].export,
    problems: ({ n, d }) => (n === 'grid' ? GRID : n).map((rows) => problem(rows / 2, d)),
    checks: [
      [1, 8],
      [3, 7],
      [16, 32],
      [33, 128],
      [64, 128],
      [100, 96],
      [129, 130],
      [64, 128, 0.07],
    ].map((size) => problem(...size)),
    sizeOf: ({ N }) => 2 * N,
    work: ({ variant = 'ntxent', ...size }) => ({
      ...variants[variant].work(size),
      bytes: bytes(size),
    }),
    largestInput: ({ N, D }) => 4 * N * D,
    logits: ({ N }) => 4 * (2 * N) ** 2,
    floor: (rows, { d }) => bytes({ N: rows / 2, D: d }).both,
    reference: (p) => variants[p.variant ?? 'ntxent'].reference(views(p), p),
  },
  flags,
)
