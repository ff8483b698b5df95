// The commands of kindred train: the options of all methods, and each method's own.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { dataKinds } from '../data/kinds.ts'
import type { Method } from '../methods/entry.ts'
import type { Flag, Reading } from '../methods/settings/flags.ts'
import { flagsOf } from '../training/options.ts'
import { command } from './command.ts'
import { adapterOption, robustnessOption } from './gpu-options.ts'
import {
  readChannels,
  readCount,
  readFeatures,
  readFolder,
  readPixels,
  readPort,
  readPositive,
  readShare,
  readTemperature,
  readInteger,
} from './numbers.ts'
import { activationsHelp, precisionHelp } from './precision.ts'
import { toTerminal, presetLines } from './presets.ts'

/** Lists the values of --data. */
export function sources(): string {
  const kinds = [...dataKinds].map(([name, { about, path }]) => ({ name, about, path }))
  const worded = (path: boolean) =>
    kinds
      .filter((kind) => kind.path === path)
      .map(({ name, about }) => (about === undefined ? name : `${name} (${about})`))
  const paths = worded(true)
  return (
    `${worded(false).join(', ')}, or KIND:PATH with KIND ${paths.slice(0, -1).join(', ')} or ` +
    (paths.at(-1) ?? '')
  )
}

/** Adds the command that trains by a method, and returns it. */
export function addMethod(train: Command, method: Method): Command {
  const own = settings(placing(beginning(train, method)))
  for (const flag of flagsOf(method)) own.option(...optionOf(flag))
  own.option('--init <file>', "begin with an encoder's weights: safetensors, torchvision's names")
  own.option('--init-prefix <text>', 'what stands before its names (default: found by itself)')
  return showing(running(checkpointing(probing(measuring(computing(own)))))).addHelpText(
    'after',
    helpOf(method),
  )
}

/** Adds the command that profiles a step of a method, and returns it. */
export function addProfile(profile: Command, method: Method): Command {
  const own = settings(beginning(profile, method))
  for (const flag of flagsOf(method)) own.option(...optionOf(flag))
  return running(computing(own))
    .option('--runs <n>', 'timed steps (default: 5)', readCount)
    .option('--layers', 'add up times by layer instead of by kernel')
    .option('--trace <file>', 'write a trace for ui.perfetto.dev or chrome://tracing')
    .addHelpText('after', `\nPresets (--preset):\n${presetLines(method)}`)
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

/** Returns the arguments of commander's `option`. */
function optionOf({ option, help, reading }: Flag): [string, string, (text: string) => unknown] {
  const read = readings[reading]
  return read ? [option, help, read] : ([option, help] as unknown as ReturnType<typeof optionOf>)
}

/** Joins a command and its options, on two lines where one would be too long. */
const broken = (start: string, options: string) =>
  start.length + options.length < 78 ? `${start} ${options}` : `${start} \\\n    ${options}`

function helpOf(method: Method): string {
  const { name, presetFor, presetWords } = method
  const usual = presetFor({ data: 'cifar10:', software: false })
  const cifar = '--data cifar10:cifar-10-batches-bin'
  const examples = [
    ['your own images', '--data folder:photos --size 64 --out runs/photos'],
    ['CIFAR-10', `${cifar} --preset ${usual}`],
    ['CIFAR-10 on a CPU', `${cifar} --width 8 --subset 2000 \\\n    --batch 128 --epochs 10`],
    ['resume', '--resume runs/photos'],
  ].map(
    ([about = '', options = '']) => `  # ${about}\n  ${broken(command('train', name), options)}`,
  )
  return `
Presets (--preset); options change their settings:
${presetLines(method)}
${toTerminal(`  ${presetWords}`)}

Ctrl-C saves and stops. --resume continues from there to the same bits as a run
that never stopped. A run folder holds config.json, metrics.jsonl, checkpoints/
(safetensors, torchvision's names), report.html and what it is made of.

Examples:
${examples.join('\n')}`
}

/** Returns the value of an option. Throws InvalidArgumentError for a second value. */
function once(value: string, before: string | undefined): string {
  if (before === undefined) return value
  throw new InvalidArgumentError(`must be given only once, is ${before} already`)
}

/** Adds a command of a method, with the option that comes first. */
const beginning = (parent: Command, { name, about }: Method) =>
  parent.command(name).description(about).option('--data <source>', sources())

/** Adds the options of the run folder. */
const placing = (own: Command) =>
  own
    .option(
      '--out <folder>',
      'run folder to make (default: the next free one under runs/)',
      readFolder,
    )
    .option(
      '--resume [folder]',
      'resume the run in this folder (or in --out) from its newest checkpoint; beside it only ' +
        '--data, --lr, --epochs and what changes no setting (--json, --watch, --tensorboard, ' +
        '--adapter, --resident, --no-capture, --no-robustness) may be given',
      readFolder,
    )

/** Adds the options of the preset and of the settings that change it. */
const settings = (own: Command) =>
  own
    .option('--preset <name>', 'settings to begin with, see below')
    .option(
      '--set <path=value>',
      'change any setting, as in --set views.flip=0 (kindred presets NAME lists the ' +
        'paths); may be repeated',
      (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
    )
    .option(
      '--config <file>',
      'settings from a file in the format of config.json, over the preset',
      once,
    )

/** Adds the options of the images and of the arithmetic. */
const computing = (own: Command) =>
  own
    .option(
      '--size <px>',
      'side in pixels of the views, and of images from a folder or the built-in set',
      readPixels,
    )
    .option('--subset <n>', 'train on this many images only', readCount)
    .option('--seed <n>', 'seed of all random numbers (default: 0)', readInteger)
    .option('--precision <kind>', `arithmetic: ${precisionHelp}`)
    .option('--activations <kind>', activationsHelp)

/** Adds the options of the kNN measurements. */
const measuring = (own: Command) =>
  own
    .option(
      '--knn-every <epochs>',
      'epochs between measurements of kNN accuracy; 0 for only at the end',
      readInteger,
    )
    .option(
      '--k <n>',
      'neighbours that vote (default: 200, or a fiftieth of a small bank)',
      readCount,
    )
    .option(
      '--knn-temperature <t>',
      "temperature of the vote; the loss's is another",
      readTemperature,
    )
    .option(
      '--knn-bank <n>',
      'training images to find neighbours among (default: all; 2000 on a CPU)',
      readCount,
    )
    .option('--knn-queries <n>', 'test images to classify (default: all; 1000 on a CPU)', readCount)

/** Adds the option of the linear probe. */
const probing = (own: Command) =>
  own.addOption(
    new Option('--probe <how>', 'fit a linear probe to the same features, beside kNN')
      .choices(['on', 'off'])
      .default(undefined, 'on'),
  )

/** Adds the option of the checkpoints. */
const checkpointing = (own: Command) =>
  own.option(
    '--checkpoint-every <steps>',
    'steps between checkpoints (default: once an epoch)',
    readCount,
  )

/** Adds the options that show a run while it trains. */
const showing = (own: Command) =>
  own
    .option(
      '--watch [port]',
      "serve the run's page on this machine while it trains (default port: 7007)",
      readPort,
    )
    .option('--tensorboard', 'write the metrics as TensorBoard reads them, to RUN/tensorboard')

/** Adds the options that change no number of a run. */
const running = (own: Command) =>
  own
    .addOption(adapterOption())
    .addOption(robustnessOption())
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
