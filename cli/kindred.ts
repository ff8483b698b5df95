#!/usr/bin/env node
// The command line. Exit codes: 0 done, 1 something failed, 2 the command was not understood, 130
// interrupted and saved.

import { Command, CommanderError } from 'commander'
import { printableLines } from '../kernels/printable.ts'
import { UsageError } from './choice.ts'
import { command } from './command.ts'
import { type CompareFlags, compare } from './compare.ts'
import { doctor } from './doctor.ts'
import type { AmdimFlags } from './amdim-config.ts'
import { type ClassifierFlags, addClassifiers, evalClassifier } from './eval-classifier.ts'
import { evalKnn } from './eval-knn.ts'
import { channels, count, counts, folder, positive, temperature, whole } from './numbers.ts'
import { exitCode, flushed, jsonLine, watchOutput } from './output.ts'
import type { PlaceFlags } from './place.ts'
import { listPresets } from './presets.ts'
import { addAmdim, trainAmdim } from './train-amdim.ts'
import { type CommandFlags, trainMethod } from './train-command.ts'
import { sources, trainCommands } from './train-options.ts'
import { version } from './version.ts'

watchOutput()

const beginnings = [
  { words: ['doctor'], about: 'is there a GPU, and what can it do?' },
  { words: ['demo'], about: 'train on built-in images and see what was learned' },
  {
    words: ['train', 'simclr', '--data', 'folder:PHOTOS'],
    about: 'train on your own images (or moco, ...)',
  },
  {
    words: ['train', 'simclr', '--data', 'cifar10:FOLDER', '--out', 'runs/cifar'],
    about: 'train on CIFAR-10',
  },
  { words: ['eval', 'knn', 'runs/cifar'], about: 'how good is the representation?' },
].map(({ words, about }) => `  ${command(...words).padEnd(50)} ${about}`)

const program = new Command('kindred')
  .description(
    'Contrastive representation learning on WebGPU: train an encoder from unlabelled images.',
  )
  .version(version())
  .showHelpAfterError('(--help explains every option)')
  .exitOverride() // it throws
  .addHelpText(
    'after',
    `
Begin here:
${beginnings.join('\n')}`,
  )

const train = program.command('train').description('train an encoder without labels')
for (const { method, add } of trainCommands)
  add(train).action((flags: CommandFlags) => finish(trainMethod(method, flags)))

addAmdim(train).action((flags: AmdimFlags & PlaceFlags) => finish(trainAmdim(flags)))

program
  .command('compare')
  .description(
    'train MoCo, a memory bank and end-to-end with various numbers of negatives, and plot kNN accuracy',
  )
  .option('--data <source>', `${sources} (default: procedural)`)
  .option(
    '--out <folder>',
    'folder of the comparison; the same command goes on with it (default: runs/compare)',
    folder,
  )
  .option('--negatives <list>', 'numbers of negatives, as in 32,128,512 (the default)', counts)
  .option('--subset <n>', 'train on this many images (default: 1000)', count)
  .option('--model <name>', 'encoder (default: resnet8)')
  .option('--width <channels>', "channels of the encoder's first stage (default: 8)", channels)
  .option('--epochs <n>', 'times through the data (default: 40)', count)
  .option(
    '--batch <n>',
    'images per step; end-to-end takes its number of negatives (default: 64)',
    count,
  )
  .option(
    '--lr <rate>',
    "learning rate (default: 1e-3; the preset's where --data is given)",
    positive,
  )
  .option('--seed <n>', 'everything random follows from it', whole)
  .option('--adapter <name>', "part of the GPU's name, to choose among several")
  .option('--json', 'print machine-readable lines only')
  .action((flags: CompareFlags) => finish(compare(flags)))

program
  .command('presets')
  .argument('[name]', 'a preset, whose settings are listed by the paths that --set takes')
  .description(
    'list the settings of published runs that training can begin with, and where they come from',
  )
  .option('--json', 'print one JSON object per line')
  .action((name: string | undefined, flags: { json?: boolean }) =>
    finish(Promise.resolve().then(() => listPresets(name, flags))),
  )

const evaluate = program.command('eval').description('measure what an encoder has learned')

evaluate
  .command('knn')
  .argument('<run>', 'run folder of a training')
  .description(
    'classify test images by their nearest training images in feature space (weighted vote)',
  )
  .option('--data <source>', `another data set than the run's: ${sources}`)
  .option('--checkpoint <file>', 'a checkpoint of the run (default: the newest)')
  .option('--k <n>', 'neighbours that vote', count)
  .option('--temperature <t>', "the vote's temperature", temperature)
  .option('--bank <n>', 'training images to find neighbours among (default: as the run)', count)
  .option('--queries <n>', 'test images to classify (default: as the run)', count)
  .option('--precision <kind>', 'arithmetic: f32, f16x3 or f16 (default: as the run)')
  .option('--adapter <name>', "part of the GPU's name, to choose among several")
  .option('--json', 'print one machine-readable line only')
  .addHelpText(
    'after',
    `\nExample:\n  ${command('eval', 'knn', 'runs/cifar')} --k 200 --temperature 0.1`,
  )
  .action((run: string, flags: Parameters<typeof evalKnn>[1]) => finish(evalKnn(run, flags)))

addClassifiers(evaluate).forEach(({ kind, command: own }) =>
  own.action((run: string, flags: ClassifierFlags) => finish(evalClassifier(kind, run, flags))),
)

program
  .command('demo')
  .description(
    'train SimCLR on the built-in images, a few minutes on a CPU, and show what it learned',
  )
  .option('--seed <n>', 'everything random follows from it', whole)
  .option('--out <folder>', 'run folder to make (default: the next free one under runs/)', folder)
  .option('--json', 'print machine-readable lines only')
  .action((flags: CommandFlags) =>
    finish(trainMethod('simclr', { ...flags, preset: 'simclr-demo' })),
  )

program
  .command('doctor')
  .description('say which GPU is found, what it offers, and what is missing')
  .option('--adapter <name>', "part of the GPU's name, to choose among several")
  .option('--json', 'print one machine-readable line only')
  .action((flags: Parameters<typeof doctor>[0]) => finish(doctor(flags)))

try {
  program.parse()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  const { exitCode: status, message } = error // told already, in words and with where to look
  if (status !== 0) tellProgram(message.replace(/^error: /, ''), 2)
  end(status === 0 ? 0 : 2)
}

/** Sets the exit code, and tells an error in one line (with its stack when KINDRED_DEBUG is
 *  set). */
function finish(running: Promise<number>) {
  running.then(end, (error: unknown) => {
    const told = error instanceof Error ? error : new Error(String(error))
    const code = error instanceof UsageError ? 2 : 1
    const text = process.env['KINDRED_DEBUG'] ? (told.stack ?? told.message) : told.message
    console.error(`kindred: ${printableLines(text)}`)
    tellProgram(told.message, code)
    end(code)
  })
}

/** An error as an event, where a program listens. */
function tellProgram(text: string, code: number) {
  const event = jsonLine({ event: 'error', text, code })
  if (process.argv.includes('--json')) process.stdout.write(`${event}\n`)
}

/** Ends with an exit code once all is printed. */
function end(code: number) {
  void flushed().then(() => {
    process.exitCode = exitCode(code)
  })
}
