// The options of kindred report.

import type { Command } from 'commander'
import { command } from '../command.ts'
import { adapterOption, robustnessOption } from '../gpu-options.ts'
import { readCount, readPort } from '../numbers.ts'
import { sources } from '../train-options.ts'

/** Adds the command, and returns it. */
export const addReport = (program: Command): Command =>
  program
    .command('report')
    .argument('<run>', 'run folder of a training')
    .description(
      "write a run's report.html: curves, views, a map of features, neighbours, classes; " +
        'measures its newest checkpoint if that is not done yet',
    )
    .option('--data <source>', `another place or set than the run's: ${sources()}`)
    .option('--points <n>', 'most images on the map (default: 5000; 2000 on a CPU)', readCount)
    .addOption(adapterOption())
    .addOption(robustnessOption())
    .option(
      '--watch [port]',
      'serve the page as the files are, updated as they change, and write nothing (default ' +
        'port: 7007)',
      readPort,
    )
    .option('--json', 'print machine-readable lines only')
    .addHelpText('after', `\nExample:\n  ${command('report', 'runs/cifar')}`)
