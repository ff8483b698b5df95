// The commands kindred eval linear and kindred eval mlp: their options and help.

import { type Command, Option } from 'commander'
import { linearProtocols } from '../evaluate/linear-protocols.ts'
import type { ClassifierKind } from './classifier-subject.ts'
import { command as commandLine } from './command.ts'
import { adapterOption, robustnessOption } from './gpu-options.ts'
import { readCount, readInteger, readPositive, readRates } from './numbers.ts'
import { sources } from './train-options.ts'

/** Adds `kindred eval linear` and `kindred eval mlp`, and returns them. */
export function addClassifiers(
  evaluate: Command,
): { readonly kind: ClassifierKind; readonly command: Command }[] {
  const about = {
    linear:
      'find the best linear classifier on the frozen encoder, and score it on every test ' +
      'image, beside kNN',
    mlp:
      'train a classifier with one hidden layer on the frozen encoder, and score it on every ' +
      'test image, beside kNN',
  }
  return (['linear', 'mlp'] as const).map((kind) => ({
    kind,
    command: trainingOptions(
      common(
        evaluate
          .command(kind)
          .argument('<run>', 'run folder of a training')
          .description(about[kind]),
        kind,
      ),
    ).addHelpText('after', kind === 'linear' ? linearHelp : mlpHelp),
  }))
}

function common(command: Command, kind: ClassifierKind): Command {
  const protocol = new Option(
    '--protocol <name>',
    'how to train the classifier, see below',
  ).choices(['exact', 'paper', ...Object.keys(linearProtocols)])
  if (kind === 'linear') command.addOption(protocol)
  return command
    .option('--data <source>', `another data set than the run's: ${sources()}`)
    .option('--checkpoint <file>', 'newest, best, or a checkpoint (default: newest)')
    .option(
      '--subset <n>',
      'train on this many labelled images, balanced by class (default: all)',
      readCount,
    )
    .option(
      '--labelled <file>',
      'train on the images that a file names, one a line, as curate select prints them',
    )
    .option('--seed <n>', "seed of all random numbers (default: the run's)", readInteger)
    .addOption(reportOption())
    .addOption(adapterOption())
    .addOption(robustnessOption())
    .option('--json', 'print machine-readable lines only')
}

const trainingOptions = (command: Command) =>
  command
    .option(
      '--epochs <n>',
      "times through the labelled images (default: the protocol's)",
      readCount,
    )
    .option('--batch <n>', "images per step (default: the protocol's)", readCount)
    .option('--lr <rate>', 'learning rate, before warm-up and decay', readPositive)
    .option(
      '--sweep [rates]',
      'choose the learning rate, of these or six usual ones, on a fifth of the training images, ' +
        'held out',
      readRates,
    )
    .option('--no-augment', 'train on images under the test transform, not on augmented ones')

/** The option of every evaluation that prints more than one accuracy. */
export const reportOption = () =>
  new Option('--report', 'print what each class and the features are like too, see below')

/** What --report prints, for the help of a command. */
export const reportHelp = `
--report adds, for the test images:
  accuracy of each class, its mean (balanced accuracy), top-5 where there are
  more than 5 classes, ROC AUC where there are 2, and the confusion matrix;
  of the unit features of up to 1000 of them: alignment (squared distance of
  two augmented views, 0 is best), uniformity (lower is better), effective
  rank (dimensions in use), and the mean standard deviation, which is
  1 / sqrt(D) when features spread evenly and 0 when they have collapsed.
`

/** The option of kindred eval knn that chooses the vote. */
export const chooseOption = () =>
  new Option(
    '--choose',
    'choose k and temperature on a fifth of the neighbours, held out; no test image is used',
  )

/** What the help of kindred eval knn ends with. */
export const knnHelp = () => `${reportHelp}
Examples:
  ${commandLine('eval', 'knn', 'runs/cifar', '--k', '200', '--temperature', '0.1')}
  ${commandLine('eval', 'knn', 'runs/cifar', '--choose', '--report')}`

const protocolLines = Object.entries(linearProtocols)
  .map(
    ([name, { source, epochs, batch }]) =>
      `  ${name.padEnd(8)} ${source};\n           ${epochs} epochs, ${batch} images a step, fewer of a small set`,
  )
  .join('\n')

const linearHelp = `
Protocols (--protocol):
  exact  (the default) computes the features of each image once, under the
         test transform, scales each image's features to length 1, and
         standardises each feature. Logistic regression on them has one best
         answer, found in seconds. The strength of regularisation (lambda) is
         chosen on a fifth of the training images, which are held out. No test
         image is used before the score.
  paper  trains as AMDIM's authors do, with dropout and Adam over epochs of
         images augmented as in the run. --epochs, --batch, --lr, --sweep and
         --no-augment choose this protocol unless --protocol names another.
  Others train by epochs of images that are only cropped and flipped, without
  weight decay. Numbers compare with those of the paper of that name:
${protocolLines}
${reportHelp}
kNN on the same features is printed beside the classifier. A note says when the
classifier is below kNN.

Examples:
  ${commandLine('eval', 'linear', 'runs/cifar')}
  ${commandLine('eval', 'linear', 'runs/amdim', '--protocol', 'paper', '--epochs', '120')}
  ${commandLine('eval', 'linear', 'runs/cifar', '--protocol', 'moco', '--sweep')}
  ${commandLine('eval', 'linear', 'runs/amdim', '--sweep', '0.0001,0.001,0.01')}
  ${commandLine('eval', 'linear', 'runs/cifar', '--report')}`

const mlpHelp = `
Trains as AMDIM's authors do, with dropout and Adam over epochs of augmented
images.
${reportHelp}
Example:
  ${commandLine('eval', 'mlp', 'runs/amdim')}`
