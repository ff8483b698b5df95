// The commands of kindred, with their options and help.

import type { Command } from 'commander'
import { methods } from '../methods/registry.ts'
import { addCarry } from './carry/carry-options.ts'
import { addClassifiers, chooseOption, knnHelp, reportOption } from './classifier-options.ts'
import type { ClassifierFlags } from './classifier-subject.ts'
import { command } from './command.ts'
import type { CompareFlags } from './compare-plan.ts'
import { compareRuns } from './compare-runs.ts'
import { compare } from './compare.ts'
import { doctor } from './doctor.ts'
import { evalClassifier } from './eval-classifier.ts'
import { evalKnn } from './eval-knn.ts'
import { addFewLabels } from './few-label-options.ts'
import { adapterOption, robustnessOption } from './gpu-options.ts'
import {
  readChannels,
  readCount,
  readCounts,
  readFolder,
  readPositive,
  readTemperature,
  readInteger,
} from './numbers.ts'
import { OwnCommand } from './own-command.ts'
import { listPresets } from './presets.ts'
import { type ProfileFlags, profileMethod } from './profile.ts'
import { addSee } from './see/see-options.ts'
import { type ReportFlags, report } from './report/command.ts'
import { addReport } from './report/options.ts'
import { addSummary, summarise } from './summary.ts'
import { type CommandFlags, trainMethod } from './train-command.ts'
import { addMethod, addProfile, sources } from './train-options.ts'
import { kindredVersion } from './version.ts'

/** Receives the running command, which resolves to its exit code. */
export type Finish = (running: Promise<number>) => void

/** Makes the command line of all registered methods and kinds of data. Parsing throws UsageError
 *  for what it does not understand, and CommanderError once help is printed. */
export function programOf(finish: Finish): Command {
  const beginnings = [
    { words: ['doctor'], about: 'the GPU and its features' },
    { words: ['demo'], about: 'train on built-in images, and see the accuracy' },
    {
      words: ['train', 'simclr', '--data', 'folder:PHOTOS'],
      about: 'train on your own images',
    },
    {
      words: ['train', 'simclr', '--data', 'cifar10:FOLDER', '--out', 'runs/cifar'],
      about: 'train on CIFAR-10',
    },
    { words: ['eval', 'knn', 'runs/cifar'], about: 'measure the encoder' },
  ].map(({ words, about }) => `  # ${about}\n  ${command(...words)}`)

  const program = new OwnCommand('kindred')
    .description(
      'Contrastive representation learning on WebGPU: train an encoder from unlabelled images.',
    )
    .version(kindredVersion())
    .exitOverride() // throws instead of ending the process
    .addHelpText(
      'after',
      `
Begin here:
${beginnings.join('\n')}`,
    )

  addTrain(program, finish)
  addCompare(program, finish)
  addPresets(program, finish)
  addUses(program, finish)
  addReports(program, finish)
  addProfiles(program, finish)
  addDemo(program, finish)
  addDoctor(program, finish)
  return program
}

function addTrain(program: Command, finish: Finish) {
  const train = program.command('train').description('train an encoder without labels')
  for (const method of methods.values())
    addMethod(train, method).action((flags: CommandFlags) =>
      finish(trainMethod(method.name, flags)),
    )
}

function addReports(program: Command, finish: Finish) {
  addReport(program).action((run: string, flags: ReportFlags) => finish(report(run, flags)))
  addSummary(program).action((name: string, flags: Parameters<typeof summarise>[1]) =>
    finish(summarise(name, flags)),
  )
}

function addProfiles(program: Command, finish: Finish) {
  const profile = program
    .command('profile')
    .description('time each kernel of a training step; takes the options of train')
  for (const method of methods.values())
    addProfile(profile, method).action((flags: ProfileFlags) =>
      finish(profileMethod(method.name, flags)),
    )
}

function addCompare(program: Command, finish: Finish) {
  program
    .command('compare')
    .argument('[run...]', 'run folders to put side by side: curves, what differs, accuracies')
    .description('compare runs, or train three mechanisms with several numbers of negatives')
    .option('--data <source>', `${sources()} (default: procedural)`)
    .option(
      '--out <folder>',
      "folder of the comparison (default: runs/compare; with run folders, the first one's)",
      readFolder,
    )
    .option(
      '--negatives <list>',
      'numbers of negatives, as in 32,128,512 (the default)',
      readCounts,
    )
    .option('--subset <n>', 'train on this many images (default: 1000)', readCount)
    .option('--model <name>', 'encoder (default: resnet8)')
    .option(
      '--width <channels>',
      "channels of the encoder's first stage (default: 8)",
      readChannels,
    )
    .option('--epochs <n>', 'times through the data (default: 40)', readCount)
    .option(
      '--batch <n>',
      'images per step; end-to-end has its number of negatives instead (default: 64)',
      readCount,
    )
    .option('--lr <rate>', "learning rate (default: 1e-3; the preset's with --data)", readPositive)
    .option('--seed <n>', 'seed of all random numbers (default: 0)', readInteger)
    .addOption(adapterOption())
    .addOption(robustnessOption())
    .option('--json', 'print machine-readable lines only')
    .action((runs: readonly string[], flags: CompareFlags) =>
      finish(runs.length > 0 ? compareRuns(runs, flags) : compare(flags)),
    )
}

function addPresets(program: Command, finish: Finish) {
  program
    .command('presets')
    .argument('[name]', 'a preset; prints its settings by their paths for --set')
    .description(
      'list the presets of every method with their sources, or the settings of one preset',
    )
    .option('--json', 'print one JSON object per line')
    .action((name: string | undefined, flags: { json?: boolean }) =>
      finish(Promise.resolve().then(() => listPresets(name, flags))),
    )
}

/** Adds what is done with a trained encoder. */
function addUses(program: Command, finish: Finish) {
  addEval(program, finish)
  addSee(program, finish)
  addCarry(program, finish)
}

function addEval(program: Command, finish: Finish) {
  const evaluate = program.command('eval').description('measure the accuracy of an encoder')

  evaluate
    .command('knn')
    .argument('<run>', 'run folder of a training')
    .description(
      'classify test images by their nearest training images in feature space (weighted vote)',
    )
    .option('--data <source>', `another data set than the run's: ${sources()}`)
    .option('--checkpoint <file>', 'newest, best, or a checkpoint (default: newest)')
    .option('--k <n>', 'neighbours that vote (default: as the run)', readCount)
    .option('--temperature <t>', 'temperature of the vote (default: as the run)', readTemperature)
    .option(
      '--bank <n>',
      'training images to find neighbours among (default: as the run)',
      readCount,
    )
    .option('--queries <n>', 'test images to classify (default: as the run)', readCount)
    .addOption(chooseOption())
    .addOption(reportOption())
    .option('--precision <kind>', 'arithmetic: f32, f16x3 or f16 (default: as the run)')
    .addOption(adapterOption())
    .addOption(robustnessOption())
    .option('--json', 'print one machine-readable line only')
    .addHelpText('after', knnHelp())
    .action((run: string, flags: Parameters<typeof evalKnn>[1]) => finish(evalKnn(run, flags)))

  addClassifiers(evaluate).forEach(({ kind, command: own }) =>
    own.action((run: string, flags: ClassifierFlags) => finish(evalClassifier(kind, run, flags))),
  )
  addFewLabels(evaluate, finish)
}

function addDemo(program: Command, finish: Finish) {
  program
    .command('demo')
    .description(
      'train SimCLR on the built-in images, in a few minutes on a CPU, and print its accuracy',
    )
    .option('--seed <n>', 'seed of all random numbers (default: 0)', readInteger)
    .option(
      '--out <folder>',
      'run folder to make (default: the next free one under runs/)',
      readFolder,
    )
    .option('--json', 'print machine-readable lines only')
    .action((flags: CommandFlags) =>
      finish(trainMethod('simclr', { ...flags, preset: 'simclr-demo' })),
    )
}

function addDoctor(program: Command, finish: Finish) {
  program
    .command('doctor')
    .description('print the GPU, its features and limits, and advice')
    .addOption(adapterOption())
    .addOption(robustnessOption())
    .option('--json', 'print one machine-readable line only')
    .action((flags: Parameters<typeof doctor>[0]) => finish(doctor(flags)))
}
