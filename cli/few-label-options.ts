// The commands kindred eval finetune and kindred eval few-labels: their options and help.

import { type Command, InvalidArgumentError } from 'commander'
import { command as commandLine } from './command.ts'
import { evalFewLabels, evalFineTune, type FineTuneFlags, type TableFlags } from './few-labels.ts'
import { adapterOption, robustnessOption } from './gpu-options.ts'
import { readLabelPart, readLabelParts } from './label-parts.ts'
import { readCount, readFolder, readInteger, readPositive, readRates } from './numbers.ts'
import { sources } from './train-options.ts'

/** Adds both commands, which hand their running to `finish`. */
export function addFewLabels(evaluate: Command, finish: (running: Promise<number>) => void) {
  const one = evaluate
    .command('finetune')
    .argument('<run>', 'run folder of a training')
    .description('train the whole network on few labels, from the run or from scratch')
    .option('--labels <amount>', 'labels to train on, see below (default: 10%)', readLabelPart)
    .option('--seed <n>', 'seed of the labels and of the training (default: 0)', readInteger)
    .option('--scratch', 'begin with new weights, to compare')
  common(one)
    .addHelpText('after', fineTuneHelp())
    .action((run: string, flags: FineTuneFlags) => finish(evalFineTune(run, flags)))
  const table = evaluate
    .command('few-labels')
    .argument('<run>', 'run folder of a training')
    .description('compare fine-tuning, a linear probe and training from scratch on few labels')
    .option('--labels <list>', 'amounts of labels, see below (default: 1%,10%)', readLabelParts)
    .option('--seeds <n>', 'number of seeds, from 0 on (default: 3)', readCount)
  common(table)
    .addHelpText('after', tableHelp())
    .action((run: string, flags: TableFlags) => finish(evalFewLabels(run, flags)))
}

const common = (own: Command) =>
  own
    .option('--steps <n>', 'training steps of a whole network (default: 200)', readCount)
    .option('--batch <n>', 'images per step, 2 or more (default: 64)', readBatch)
    .option(
      '--lr <rates>',
      'highest learning rate, or several to choose from (default: 0.0003,0.001,0.003,0.01)',
      readRates,
    )
    .option('--weight-decay <share>', "AdamW's weight decay (default: 0.0001)", readPositive)
    .option('--init <file>', "weights of the encoder, instead of the run's: safetensors")
    .option('--init-prefix <text>', 'what stands before its names (default: found by itself)')
    .option('--checkpoint <file>', 'newest, best, or a checkpoint (default: newest)')
    .option('--data <source>', `another data set than the run's: ${sources()}`)
    .option('--out <folder>', 'folder of the results (default: few-labels in the run)', readFolder)
    .addOption(adapterOption())
    .addOption(robustnessOption())
    .option('--json', 'print machine-readable lines only')

/** Reads a batch, which batch norm needs 2 images of. */
function readBatch(text: string) {
  const batch = readCount(text)
  if (batch < 2) throw new InvalidArgumentError('must be 2 or more, as batch norm needs 2 images')
  return batch
}

const amounts = `
Amounts of labels: 10% is a tenth of each class, at least one image; 20 is 20
images of each class. The seed chooses the images; a smaller amount is part of
a larger one. The test images are never trained on, and choose nothing.

Of several learning rates each network takes the one that does best on labels
held out: one in five of each class, at least one. Then it trains anew on all of
its labels. Where fewer than 100 are held out, up to five such parts judge in
turn: up to rates x 5 + 1 trainings of each network, 21 by default. One rate is
one training. Fine-tuning may also take 0: the linear probe, not trained more.
With one label of each class none can be held out: the middle rate is taken.

Every result is a file in --out, with the images whose labels it used. The same
command keeps what is finished and trains the rest.
`

const fineTuneHelp = () => `${amounts}
The network is kept beside the result, encoder and classifier, as a checkpoint
that classify, embed, search, curate, export and eval --checkpoint take.

Examples:
  ${commandLine('eval', 'finetune', 'runs/cifar', '--labels', '1%')}
  ${commandLine('eval', 'finetune', 'runs/cifar', '--labels', '1%', '--scratch')}
  ${commandLine('eval', 'finetune', 'runs/cifar', '--init', 'moco.safetensors')}`

const tableHelp = () => `${amounts}
Columns:
  from scratch  the whole network with new weights
  linear probe  logistic regression on the run's frozen features
  fine-tuned    the whole network, from the run's weights
The first and the last have the same steps, batch, views (mild crops and flips)
and rates to choose from: AdamW, a tenth of the steps to warm up, then a cosine.
The last begins with the classifier of the linear probe.

Example:
  ${commandLine('eval', 'few-labels', 'runs/cifar', '--labels', '1%,10%', '--seeds', '3')}`
