#!/usr/bin/env node
// The command line. Exit codes: 0 done, 1 something failed, 2 the command was not understood, 130 interrupted and saved.

import { Command, InvalidArgumentError, Option } from 'commander'
import { UsageError } from './config.ts'
import { doctor } from './doctor.ts'
import { evalKnn } from './eval-knn.ts'
import { precisionHelp } from './precision.ts'
import { simclrPresets } from '../methods/simclr-presets.ts'
import { type SimclrFlags, trainSimclr } from './train-simclr.ts'
import { version } from './version.ts'

const program = new Command('kindred')
  .description('Contrastive representation learning on WebGPU: train an encoder from unlabelled images.')
  .version(version())
  .showHelpAfterError('(--help explains every option)')
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .addHelpText(
    'after',
    `
Begin here:
  kindred doctor                                     is there a GPU, and what can it do?
  kindred demo                                       train on built-in images and see what was learned
  kindred train simclr --data folder:PHOTOS          train on your own images
  kindred train simclr --data cifar10:FOLDER --epochs 200 --out runs/cifar
  kindred eval knn runs/cifar                        how good is the representation?`,
  )

const train = program.command('train').description('train an encoder without labels')

const data = `procedural (built in), or KIND:PATH with KIND cifar10, cifar100, idx (MNIST family) or folder (JPEG, PNG, WebP)`
const presets = Object.entries(simclrPresets)
  .map(([name, { about }]) => `  ${name.padEnd(18)} ${about}`)
  .join('\n')

train
  .command('simclr')
  .description('SimCLR (Chen et al. 2020): two augmented views of each image attract, all others repel')
  .option('--data <source>', data)
  .option('--out <folder>', 'run folder to make (default: the next free one under runs/)')
  .option('--resume [folder]', 'go on with the run in this folder (or in --out) from its last checkpoint')
  .addOption(new Option('--preset <name>', 'settings to begin with, see below'))
  .option(
    '--model <name>',
    "encoder: resnet8, resnet18, resnet34 or resnet50 (default: the preset's; resnet8 of width 16 on a CPU)",
  )
  .option('--width <channels>', "channels of the encoder's first stage; 64 is the paper's", count)
  .option('--stem <kind>', 'cifar (3x3, keeps the size) or imagenet (7x7 stride 2 and max-pool)')
  .option('--epochs <n>', 'times through the data', count)
  .option(
    '--batch <n>',
    "images per step; each is compared with every other one of its batch (default: the preset's, fewer for a small set)",
    count,
  )
  .option('--lr <rate>', 'learning rate per step, before the schedule', positive)
  .option(
    '--temperature <t>',
    "the loss's temperature: smaller looks harder at the nearest negatives",
    positive,
  )
  .option(
    '--batch-norm <kind>',
    "per-view (as the popular PyTorch code) or joint over both views (as the paper's)",
  )
  .option(
    '--size <px>',
    'side of the views, and of the images that are loaded from a folder or drawn, in pixels',
    count,
  )
  .option('--subset <n>', 'train on this many images only', count)
  .option('--seed <n>', 'everything random follows from it', whole)
  .option('--precision <kind>', `arithmetic: ${precisionHelp}`)
  .option('--knn-every <epochs>', 'measure kNN accuracy every so many epochs; 0 for only at the end', whole)
  .option('--k <n>', 'neighbours that vote (default: 200, or a fiftieth of a small bank)', count)
  .option('--knn-temperature <t>', "the vote's temperature, apart from the loss's", positive)
  .option('--knn-bank <n>', 'training images to find neighbours among (default: all; 2000 on a CPU)', count)
  .option('--knn-queries <n>', 'test images to classify (default: all; 1000 on a CPU)', count)
  .option('--checkpoint-every <steps>', 'steps between checkpoints (default: once an epoch)', count)
  .option('--adapter <name>', "part of the GPU's name, to choose among several")
  .option('--no-capture', 'run every step one by one instead of replaying it: slower, the same bits')
  .option('--json', 'print machine-readable lines only')
  .addHelpText(
    'after',
    `
Presets (--preset), with the options above on top:
${presets}
  Without --data the preset is simclr-demo, with it simclr-cifar10.

Ctrl-C saves and stops; --resume goes on from there, bit for bit as if it had never stopped.
A run folder holds config.json, metrics.jsonl, checkpoints/ (safetensors, torchvision's names) and report.html.

Examples:
  kindred train simclr --data folder:photos --size 64 --batch 64 --epochs 100 --out runs/photos
  kindred train simclr --data cifar10:cifar-10-batches-bin --model resnet18 --epochs 200 --batch 512
  kindred train simclr --data cifar10:cifar-10-batches-bin --width 8 --subset 2000 --batch 128 --epochs 10   (a CPU)
  kindred train simclr --resume runs/photos`,
  )
  .action((flags: SimclrFlags) => finish(trainSimclr(flags)))

program
  .command('eval')
  .description('measure what an encoder has learned')
  .command('knn')
  .argument('<run>', 'run folder of a training')
  .description('classify test images by their nearest training images in feature space (weighted vote)')
  .option('--data <source>', "another data set than the run's: " + data)
  .option('--checkpoint <file>', 'a checkpoint of the run (default: the newest)')
  .option('--k <n>', 'neighbours that vote', count)
  .option('--temperature <t>', "the vote's temperature", positive)
  .option('--bank <n>', 'training images to find neighbours among (default: as the run)', count)
  .option('--queries <n>', 'test images to classify (default: as the run)', count)
  .option('--precision <kind>', 'arithmetic: f32, f16x3 or f16 (default: as the run)')
  .option('--adapter <name>', "part of the GPU's name, to choose among several")
  .option('--json', 'print one machine-readable line only')
  .addHelpText('after', '\nExample:\n  kindred eval knn runs/cifar --k 200 --temperature 0.1')
  .action((run: string, flags: Parameters<typeof evalKnn>[1]) => finish(evalKnn(run, flags)))

program
  .command('demo')
  .description('train SimCLR on the built-in images, a few minutes on a CPU, and show what it learned')
  .option('--seed <n>', 'everything random follows from it', whole)
  .option('--out <folder>', 'run folder to make (default: the next free one under runs/)')
  .option('--json', 'print machine-readable lines only')
  .action((flags: SimclrFlags) => finish(trainSimclr({ ...flags, preset: 'simclr-demo' })))

program
  .command('doctor')
  .description('say which GPU is found, what it offers, and what is missing')
  .option('--adapter <name>', "part of the GPU's name, to choose among several")
  .option('--json', 'print one machine-readable line only')
  .action((flags: Parameters<typeof doctor>[0]) => finish(doctor(flags)))

program.parse()

/** Sets the exit code, and tells an error in one line (with its stack when KINDRED_DEBUG is set). */
function finish(command: Promise<number>) {
  command.then(
    (code) => {
      process.exitCode = code
    },
    (error: unknown) => {
      const told = error instanceof Error ? error : new Error(String(error))
      console.error(`kindred: ${process.env['KINDRED_DEBUG'] ? (told.stack ?? told.message) : told.message}`)
      process.exitCode = error instanceof UsageError ? 2 : 1
    },
  )
}

function number(text: string, rule: string, holds: (value: number) => boolean): number {
  const value = Number(text)
  if (text.trim() === '' || !holds(value)) throw new InvalidArgumentError(`it must be ${rule}.`)
  return value
}
function count(text: string) {
  return number(text, 'a whole number from 1 on', (v) => Number.isInteger(v) && v >= 1)
}
function whole(text: string) {
  return number(
    text,
    'a whole number from 0 to 4294967295',
    (v) => Number.isInteger(v) && v >= 0 && v <= 0xffffffff,
  )
}
function positive(text: string) {
  return number(text, 'a number above 0', (v) => v > 0 && Number.isFinite(v))
}
