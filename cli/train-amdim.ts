// kindred train amdim: from a configuration to what trains, and its options.

import { type Command, Option } from 'commander'
import type { Split } from '../data/dataset.ts'
import { steps } from '../data/loader.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Adam } from '../engine/optimizer.ts'
import { type Schedule, step, warmup } from '../engine/schedule.ts'
import { amdim, amdimLosses } from '../methods/amdim.ts'
import { type AmdimSettings, amdimPresets } from '../methods/amdim-presets.ts'
import { amdimEncoder } from '../models/amdim-encoder.ts'
import { classifiers } from '../models/classifiers.ts'
import type { Model } from '../models/layers.ts'
import { type AmdimConfig, type AmdimFlags, amdimConfig } from './amdim-config.ts'
import type { Trainer } from './build.ts'
import { type Prepared, probeOf, trainingImages } from './train.ts'
import { type CommandFlags, type Method, trainMethod } from './train-simclr.ts'

/** The learning rate at each step. The climb does not move the milestones. */
export function amdimSchedule(
  { schedule }: Pick<AmdimSettings, 'schedule'>,
  stepsPerEpoch: number,
): Schedule {
  const { lr, warmupSteps, milestones, gamma } = schedule
  const at = milestones.map((epoch) => epoch * stepsPerEpoch - warmupSteps)
  return warmupSteps > 0
    ? warmup(warmupSteps, step(lr, at, gamma), { first: 'nonzero' })
    : step(lr, at, gamma)
}

const nothing: Model = { parameters: {}, norms: {}, features: 0, forward: (x) => x }

/** AMDIM as the configuration says, at step 0, with classifiers for so many classes, 0 for none. */
export function amdimTrainer(
  gpu: Gpu,
  config: AmdimConfig,
  { classes, stepsPerEpoch, capture }: { classes: number; stepsPerEpoch: number; capture: boolean },
): Trainer {
  const { clip, penalty, views, seed, optimizer: settings } = config
  const encoder = amdimEncoder(gpu, { ...config.model, size: config.size, seed })
  const shape = { features: encoder.features, classes, ...config.classifiers, seed }
  const head = classes > 0 ? classifiers(gpu, shape) : null
  const optimizer = new Adam({ ...encoder.parameters, ...head?.parameters }, settings)
  const schedule = amdimSchedule(config, stepsPerEpoch)
  const method = { encoder, classifiers: head, optimizer, schedule, clip, penalty, views, seed, capture }
  return { ...amdim(gpu, method), head: head ?? nothing, schedule, terms: amdimLosses }
}

function prepareAmdim(gpu: Gpu, config: AmdimConfig, data: Split, capture = true): Prepared {
  const images = trainingImages(config, data)
  const stepsPerEpoch = steps(images, { batch: config.batch })
  const classes = images.labels ? images.classes.length : 0
  const trainer = amdimTrainer(gpu, config, { classes, stepsPerEpoch, capture })
  return { gpu, config, images, trainer, stepsPerEpoch, probe: probeOf(gpu, config, images, data.test) }
}

const method: Method<AmdimFlags, AmdimConfig> = {
  name: 'amdim',
  title: 'AMDIM',
  describe: ({ model: { width, features, depth } }) =>
    `an encoder of width ${width}, ${features} features, depth ${depth}`,
  configOf: amdimConfig,
  prepare: prepareAmdim,
}

interface Parsers {
  readonly data: string
  readonly count: (text: string) => number
  readonly whole: (text: string) => number
  readonly positive: (text: string) => number
  readonly finish: (command: Promise<number>) => void
}

/** Adds `kindred train amdim`. */
export function addAmdim(train: Command, { data, count, whole, positive, finish }: Parsers) {
  const presets = Object.entries(amdimPresets).map(([name, { about }]) => `  ${name.padEnd(18)} ${about}`)
  train
    .command('amdim')
    .description(
      'AMDIM (Bachman et al. 2019): features of one view predict those of the other, across scales',
    )
    .option('--data <source>', data)
    .option('--out <folder>', 'run folder to make (default: the next free one under runs/)')
    .option('--resume [folder]', 'go on with the run in this folder (or in --out) from its last checkpoint')
    .addOption(new Option('--preset <name>', 'settings to begin with, see below'))
    .option('--width <channels>', "channels of the encoder's first layer, the authors' ndf", count)
    .option('--features <n>', "size of the features at every scale, the authors' n_rkhs", count)
    .option('--depth <n>', "layers of each residual block, the authors' n_depth", count)
    .option('--encoder-norm', 'normalise the residual branches')
    .option('--no-encoder-norm', 'do not')
    .option('--epochs <n>', 'times through the data', count)
    .option('--batch <n>', 'images per step; each is compared with every other one of its batch', count)
    .option('--lr <rate>', 'learning rate, before warm-up and decay', positive)
    .option('--size <px>', 'side of the views: 32, 64 or 128', count)
    .option('--subset <n>', 'train on this many images only', count)
    .option('--seed <n>', 'everything random follows from it', whole)
    .option('--knn-every <epochs>', 'measure kNN accuracy every so many epochs; 0 for only at the end', whole)
    .option('--k <n>', 'neighbours that vote (default: 200, or a fiftieth of a small bank)', count)
    .option('--knn-temperature <t>', "the vote's temperature", positive)
    .option('--knn-bank <n>', 'training images to find neighbours among (default: all; 2000 on a CPU)', count)
    .option('--knn-queries <n>', 'test images to classify (default: all; 1000 on a CPU)', count)
    .option('--checkpoint-every <steps>', 'steps between checkpoints (default: once an epoch)', count)
    .option('--no-capture', 'run every step one by one instead of replaying it: slower, the same bits')
    .option('--adapter <name>', "part of the GPU's name, to choose among several")
    .option('--json', 'print machine-readable lines only')
    .addHelpText(
      'after',
      `
Presets (--preset), with the options above on top:
${presets.join('\n')}
  Without --data, and on a CPU, the preset is amdim-demo; with it amdim-cifar-small, for STL-10 amdim-stl10.

Linear and MLP classifiers are trained along, without a gradient to the encoder; kindred eval linear|mlp trains them anew.

Examples:
  kindred train amdim
  kindred train amdim --data cifar10:cifar-10-batches-bin --preset amdim-cifar-large --out runs/amdim
  kindred train amdim --resume runs/amdim`,
    )
    .action((flags: AmdimFlags & CommandFlags) => finish(trainMethod(method, flags)))
}
