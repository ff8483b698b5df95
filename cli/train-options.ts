// The commands of kindred train: the options that all methods have, and each method's own.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { dataKinds } from '../data/kinds.ts'
import type { Method } from '../methods/entry.ts'
import type { Flag, Reading } from '../methods/settings/flags.ts'
import { flagsOf } from '../training/options.ts'
import { command } from './command.ts'
import {
  readChannels,
  readCount,
  readFeatures,
  readFolder,
  readPixels,
  readPositive,
  readShare,
  readTemperature,
  readInteger,
} from './numbers.ts'
import { activationsHelp, precisionHelp } from './precision.ts'
import { presetLines } from './presets.ts'

/** What --data takes, in words. */
export function sources(): string {
  const kinds = [...dataKinds].map(([name, { about, path }]) => ({ name, about, path }))
  const worded = (path: boolean) =>
    kinds
      .filter((kind) => kind.path === path)
      .map(({ name, about }) => (about === undefined ? name : `${name} (${about})`))
  const paths = worded(true)
  return `${worded(false).join(', ')}, or KIND:PATH with KIND ${paths.slice(0, -1).join(', ')} or ${paths.at(-1) ?? ''}`
}

/** Adds the command that trains by a method, and returns it. */
export function addMethod(train: Command, method: Method): Command {
  const own = beginning(train.command(method.name), method.about)
  for (const flag of flagsOf(method)) own.option(...optionOf(flag))
  return measuring(own).addHelpText('after', helpOf(method))
}

const readings: Readonly<Record<Reading, ((text: string) => unknown) | null>> = {
  count: readCount,
  channels: readChannels,
  features: readFeatures,
  positive: readPositive,
  temperature: readTemperature,
  share: readShare,
  word: null,
  switch: null,
}

/** An option as commander takes it. */
function optionOf({ option, help, reading }: Flag): [string, string, (text: string) => unknown] {
  const read = readings[reading]
  return read ? [option, help, read] : ([option, help] as unknown as ReturnType<typeof optionOf>)
}

function helpOf(method: Method): string {
  const { name, presetFor, presetWords } = method
  const usual = presetFor({ data: 'cifar10:', software: false })
  return `
Presets (--preset), with the options above on top:
${presetLines(method)}
  ${presetWords}

Ctrl-C saves and stops; --resume goes on from there, bit for bit as if it had never stopped.
A run folder holds config.json, metrics.jsonl, checkpoints/ (safetensors, torchvision's names) and report.html.

Examples:
  ${command('train', name)} --data folder:photos --size 64 --batch 64 --epochs 100 --out runs/photos
  ${command('train', name)} --data cifar10:cifar-10-batches-bin --preset ${usual}
  ${command('train', name)} --data cifar10:cifar-10-batches-bin --width 8 --subset 2000 --batch 128 --epochs 10   (a CPU)
  ${command('train', name)} --resume runs/photos`
}

/** The value of an option that may stand once. Throws InvalidArgumentError. */
function once(value: string, before: string | undefined): string {
  if (before === undefined) return value
  throw new InvalidArgumentError(`it was given as ${before} before; give one`)
}

/** Describes the method, and adds the options that come first with every one. */
const beginning = (own: Command, description: string) =>
  own
    .description(description)
    .option('--data <source>', sources())
    .option(
      '--out <folder>',
      'run folder to make (default: the next free one under runs/)',
      readFolder,
    )
    .option(
      '--resume [folder]',
      'go on with the run in this folder (or in --out) from its last checkpoint; --data, --lr and --epochs may be others',
      readFolder,
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
const measuring = (own: Command) =>
  own
    .option(
      '--size <px>',
      'side of the views, and of the images that are loaded from a folder or drawn, in pixels',
      readPixels,
    )
    .option('--subset <n>', 'train on this many images only', readCount)
    .option('--seed <n>', 'everything random follows from it', readInteger)
    .option('--precision <kind>', `arithmetic: ${precisionHelp}`)
    .option('--activations <kind>', activationsHelp)
    .option(
      '--knn-every <epochs>',
      'measure kNN accuracy every so many epochs; 0 for only at the end',
      readInteger,
    )
    .option(
      '--k <n>',
      'neighbours that vote (default: 200, or a fiftieth of a small bank)',
      readCount,
    )
    .option(
      '--knn-temperature <t>',
      "the vote's temperature, apart from the loss's",
      readTemperature,
    )
    .option(
      '--knn-bank <n>',
      'training images to find neighbours among (default: all; 2000 on a CPU)',
      readCount,
    )
    .option('--knn-queries <n>', 'test images to classify (default: all; 1000 on a CPU)', readCount)
    .option(
      '--checkpoint-every <steps>',
      'steps between checkpoints (default: once an epoch)',
      readCount,
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
