// The command line that the benches share.

import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'

const printed = `
Printed: adapter, driver, versions, date; the device's ceilings (a large matmul and a large copy by Kindred's own kernels);
then one row per size and contestant: time per call, forward and forward + backward, as median (min..max) of the runs; its
ratio to Kindred's; GFLOP/s and GB/s of the work that the algorithm needs, the same for all, and their share of the ceilings;
the peak of all GPU buffers of the process, and what of it is neither input nor output; dispatches per call, forward / both.
Time is by the clock, over batches of calls that end by waiting for the GPU; on a CPU adapter it is CPU time of all threads.

Every contestant runs in a process of its own, and all are timed in turns, so ratios are of one run. Results go to a JSON file
and a plot (SVG) in the output folder. The exit code is 1 when a loss or gradient of Kindred's is not that of the float64
reference, or when it fails at a size; a peer that fails is only named.`

/** A bench's options, with its own added by `extend(command)`, parsed. */
export function parseOptions(name, description, extend) {
  const command = new Command(name)
    .description(description)
    .option(
      '--dtype <list>',
      'precision of Kindred: f32, f16x3, f16; several race each other',
      list,
      ['f32'],
    )
    .option('--temperature <t>', "the loss's temperature", positive)
    .option(
      '--runs <n>',
      'timed batches of each contestant at each size (default: 5 on a CPU adapter, else 9)',
      count,
    )
    .option(
      '--limit <seconds>',
      'stop a contestant where one call would take longer, as its last size foretells',
      positive,
      20,
    )
    .option(
      '--patience <seconds>',
      'give a contestant up that answers nothing for so long, as when compiling',
      positive,
      900,
    )
    .option('--only <list>', 'only contestants whose name contains one of these words', list)
    .option('--no-peers', 'without TensorFlow.js, jax-js and PyTorch')
    .option('--python <program>', 'the interpreter that has torch, with CUDA', 'python3')
    .option('--adapter <name>', "part of the GPU's name, to choose among several")
    .option(
      '--json [file]',
      'print the results as JSON and nothing else, or write them to this file',
    )
    .option('--markdown', 'print the table as Markdown, for bench/RESULTS.md')
    .option('--out <folder>', 'where the JSON and the plot go (default: bench/out)')
    .option('--verify-only', 'check against the reference and time nothing')
    .option('--no-verify', 'time what was checked before')
    .addHelpText('after', printed)
  extend(command)
  command.parse()
  const out = fileURLToPath(new URL('../out', import.meta.url))
  return {
    out,
    ...command.opts(),
    command: `node bench/${name}.js ${process.argv.slice(2).join(' ')}`.trim(),
  }
}

/** For `exitOverride` of a command: wrong options end it with 2, as its own failures do with 1. */
export const endedBy = ({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2)

/** A list of words, separated by commas. */
export const list = (text) => text.split(',').filter(Boolean)

/** A list of whole numbers, smallest first, or 'grid'. */
export function sizes(text) {
  return text === 'grid'
    ? 'grid'
    : list(text)
        .map(count)
        .sort((a, b) => a - b)
}

/** A whole number from 1 on. */
export function count(text) {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('it must be a whole number from 1 on.')
  return value
}

/** A whole number from 2 on. */
export function several(text) {
  const value = count(text)
  if (value < 2) throw new InvalidArgumentError('it must be a whole number from 2 on.')
  return value
}

/** A number above 0. */
export function positive(text) {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('it must be a number above 0.')
  return value
}
