// The commands of kindred train: the options that all methods have, and each method's own.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { command } from './command.ts'
import { chunking } from './chunk.ts'
import { channels, count, folder, pixels, positive, share, temperature, whole } from './numbers.ts'
import { activationsHelp, precisionHelp } from './precision.ts'
import { type Method, methods, presetLines } from './presets.ts'

/** What --data takes, in words. */
export const sources = `procedural (built in), or KIND:PATH with KIND cifar10, cifar100, idx (MNIST family), stl10, stl10-unlabeled or folder (JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF)`

/** The methods, and what adds the command of each to `kindred train`. */
export const trainCommands: readonly {
  readonly method: Method
  readonly add: (train: Command) => Command
}[] = [
  {
    method: 'simclr',
    add: (train) =>
      methodCommand(
        train,
        'simclr',
        'SimCLR (Chen et al. 2020): two augmented views of each image attract, all others repel',
        (own) =>
          own.option(
            '--batch-norm <kind>',
            "per-view (as the popular PyTorch code) or joint over both views (as the paper's)",
          ),
      ),
  },
  {
    method: 'moco',
    add: (train) =>
      methodCommand(
        train,
        'moco',
        'MoCo (He et al. 2020): keys of earlier batches, in a queue, repel; a second encoder follows',
        (own) =>
          own
            .option(
              '--queue <keys>',
              'keys in the queue, the negatives of each query (not v3)',
              count,
            )
            .option(
              '--momentum <m>',
              'how slowly the key encoder follows: 0.999 on ImageNet, less for short runs',
              share,
            )
            .option(
              '--symmetric',
              'both views are queries and keys: twice the work of a step (not v3)',
            )
            .option(
              '--bn-splits <n>',
              'batch norm over n groups of the batch, as over n GPUs (not v3)',
              count,
            )
            .option(
              '--no-shuffle',
              'do not shuffle the keys before their batch norm is split: it leaks',
            ),
      ),
  },
  {
    method: 'memory-bank',
    add: (train) =>
      methodCommand(
        train,
        'memory-bank',
        'Instance Discrimination (Wu et al. 2018): a bank keeps one feature per image; others repel',
        (own) =>
          own
            .option('--negatives <n>', 'features drawn from the bank for each batch', count)
            .option('--loss <kind>', 'infonce, or nce, the original')
            .option('--momentum <m>', "how slowly an image's feature in the bank follows", share),
      ),
  },
  {
    method: 'end-to-end',
    add: (train) =>
      methodCommand(
        train,
        'end-to-end',
        "the end-to-end mechanism of MoCo's comparison: the batch's other keys repel, and have a gradient",
        (own) => own,
      ),
  },
]

function methodCommand(
  train: Command,
  method: Method,
  description: string,
  add: (own: Command) => Command,
): Command {
  const { demo, usual } = methods[method]
  const own = beginning(train.command(method), description)
    .option(
      '--model <name>',
      "encoder: resnet8, resnet18, resnet34 or resnet50 (default: the preset's; resnet8 of width 16 on a CPU)",
    )
    .option(
      '--width <channels>',
      "channels of the encoder's first stage; 64 is the paper's",
      channels,
    )
    .option('--stem <kind>', 'cifar (3x3, keeps the size) or imagenet (7x7 stride 2 and max-pool)')
    .option('--epochs <n>', 'times through the data', count)
    .option('--batch <n>', "images per step (default: the preset's, fewer for a small set)", count)
    .option('--lr <rate>', 'learning rate per step, before the schedule', positive)
    .option(
      '--temperature <t>',
      "the loss's temperature: smaller looks harder at the nearest negatives",
      temperature,
    )
  return measuring(chunking(add(own))).addHelpText(
    'after',
    `
Presets (--preset), with the options above on top:
${presetLines(method)}
  Without --data the preset is ${demo}, with it ${usual}.

Ctrl-C saves and stops; --resume goes on from there, bit for bit as if it had never stopped.
A run folder holds config.json, metrics.jsonl, checkpoints/ (safetensors, torchvision's names) and report.html.

Examples:
  ${command('train', method)} --data folder:photos --size 64 --batch 64 --epochs 100 --out runs/photos
  ${command('train', method)} --data cifar10:cifar-10-batches-bin --preset ${usual}
  ${command('train', method)} --data cifar10:cifar-10-batches-bin --width 8 --subset 2000 --batch 128 --epochs 10   (a CPU)
  ${command('train', method)} --resume runs/photos`,
  )
}

/** The value of an option that may stand once. Throws InvalidArgumentError. */
function once(value: string, before: string | undefined): string {
  if (before === undefined) return value
  throw new InvalidArgumentError(`it was given as ${before} before; give one`)
}

/** Describes the method, and adds the options that come first with every one. */
export const beginning = (own: Command, description: string) =>
  own
    .description(description)
    .option('--data <source>', sources)
    .option('--out <folder>', 'run folder to make (default: the next free one under runs/)', folder)
    .option(
      '--resume [folder]',
      'go on with the run in this folder (or in --out) from its last checkpoint; --data, --lr and --epochs may be others',
      folder,
    )
    .option('--preset <name>', 'settings to begin with, see below')
    .option(
      '--set <path=value>',
      'any setting, as in --set views.flip=0 (kindred presets NAME lists them all); may be repeated',
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    )
    .option(
      '--config <file>',
      'settings from a file in the format of config.json, over the preset',
      once,
    )

/** Adds the options that come last with every method. */
export const measuring = (own: Command) =>
  own
    .option(
      '--size <px>',
      'side of the views, and of the images that are loaded from a folder or drawn, in pixels',
      pixels,
    )
    .option('--subset <n>', 'train on this many images only', count)
    .option('--seed <n>', 'everything random follows from it', whole)
    .option('--precision <kind>', `arithmetic: ${precisionHelp}`)
    .option('--activations <kind>', activationsHelp)
    .option(
      '--knn-every <epochs>',
      'measure kNN accuracy every so many epochs; 0 for only at the end',
      whole,
    )
    .option('--k <n>', 'neighbours that vote (default: 200, or a fiftieth of a small bank)', count)
    .option('--knn-temperature <t>', "the vote's temperature, apart from the loss's", temperature)
    .option(
      '--knn-bank <n>',
      'training images to find neighbours among (default: all; 2000 on a CPU)',
      count,
    )
    .option('--knn-queries <n>', 'test images to classify (default: all; 1000 on a CPU)', count)
    .option(
      '--checkpoint-every <steps>',
      'steps between checkpoints (default: once an epoch)',
      count,
    )
    .option('--adapter <name>', "part of the GPU's name, to choose among several")
    .addOption(
      new Option(
        '--resident <how>',
        'keep the training images on the GPU: auto does where they fit',
      )
        .choices(['auto', 'on', 'off'])
        .default(undefined, 'auto'),
    )
    .option(
      '--no-capture',
      'run every step one by one instead of replaying it: slower, the same bits',
    )
    .option('--json', 'print machine-readable lines only')
