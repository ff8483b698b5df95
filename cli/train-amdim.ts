// kindred train amdim: from a configuration to what trains, and its options.

import type { Command } from 'commander'
import type { Dataset, Split } from '../data/dataset.ts'
import { countSteps } from '../data/loader.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'
import { integersOf } from '../kernels/numbers.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Adam } from '../engine/optim/optimizer.ts'
import { type Schedule, multiStep } from '../engine/optim/schedule.ts'
import { amdim, amdimLosses } from '../methods/amdim.ts'
import type { AmdimSettings } from '../methods/presets/amdim.ts'
import { amdimEncoder } from '../models/amdim-encoder.ts'
import { classifiers } from '../models/classifiers.ts'
import type { Model } from '../models/layers.ts'
import { type AmdimFlags, amdimConfig } from './amdim-config.ts'
import { type Scaling, type Trainer, nothing, scaled } from './build.ts'
import type { AmdimConfig } from './config.ts'
import { command } from './command.ts'
import { chunking } from './chunk.ts'
import { openFeed } from './feed.ts'
import { channels, count, featureCount, positive } from './numbers.ts'
import type { PlaceFlags } from './place.ts'
import { presetLines } from './presets.ts'
import { type Manner, type Prepared, probeOf, trainingImages } from './train.ts'
import { type Trainable, trainAs } from './train-command.ts'
import { beginning, measuring } from './train-options.ts'

/** The learning rate at each step: decay by milestones, and a climb over the first steps that does
 *  not move them. */
export function amdimSchedule(
  { schedule }: Pick<AmdimSettings, 'schedule'>,
  stepsPerEpoch: number,
): Schedule {
  const { lr, warmupSteps, milestones, gamma } = schedule
  const decayed = multiStep(
    lr,
    milestones.map((epoch) => epoch * stepsPerEpoch),
    gamma,
  )
  return (t) => (t + 1 < warmupSteps ? (decayed(t) * (t + 1)) / warmupSteps : decayed(t))
}

const noHead: Model = { parameters: {}, norms: {}, features: 0, forward: (x) => x }

/** AMDIM as the configuration says, at step 0, with classifiers where the images have labels. */
function amdimTrainer(
  gpu: Gpu,
  config: AmdimConfig,
  { labels, classes }: Dataset,
  { stepsPerEpoch, capture }: { readonly stepsPerEpoch: number; readonly capture: boolean },
  scaling: Scaling,
): Trainer {
  const { clip, penalty, views, chunk = null, seed } = config
  const { width, features, depth, batchNorm } = config.model
  const encoder = amdimEncoder(gpu, { width, features, depth, batchNorm, size: config.size, seed })
  const shape = { features: encoder.features, classes: classes.length, ...config.classifiers, seed }
  const head = labels ? classifiers(gpu, shape) : null
  const { betas, weightDecay } = config.optimizer
  const optimizer = new Adam({ ...encoder.parameters, ...head?.parameters }, { betas, weightDecay })
  const schedule = amdimSchedule(config, stepsPerEpoch)
  const options = {
    encoder,
    classifiers: head,
    optimizer,
    schedule,
    clip,
    penalty,
    views,
    chunk,
    seed,
  }
  const trainer = amdim(gpu, { ...options, capture, ...scaling })
  const known = (indices: IndexList) =>
    labels && integersOf('train', indices).map((index) => labels[index] ?? -1)
  return {
    ...trainer,
    step: (batch, indices) => trainer.step(batch, known(indices)),
    ...{ terms: amdimLosses, head: head ?? noHead, optimizer, schedule, kept: nothing },
  }
}

async function prepareAmdim(
  gpu: Gpu,
  config: AmdimConfig,
  data: Split,
  { capture = true, resident = 'auto' }: Manner = {},
): Promise<Prepared> {
  const images = trainingImages(config, data)
  const stepsPerEpoch = countSteps(images, { batch: config.batch })
  const extent = { stepsPerEpoch, capture }
  const trainer = scaled(gpu, (scaling) => amdimTrainer(gpu, config, images, extent, scaling))
  const probe = probeOf(gpu, config, images, data.test)
  const feed = await openFeed(gpu, images, resident)
  return { gpu, config, data, images, feed, trainer, stepsPerEpoch, probe }
}

const trainable: Trainable<AmdimFlags, AmdimConfig> = {
  name: 'amdim',
  title: 'AMDIM',
  describe: ({ model: { width, features, depth } }) =>
    `an encoder of width ${width}, ${features} features, depth ${depth}`,
  configOf: amdimConfig,
  prepare: prepareAmdim,
}

/** Trains by AMDIM, as `trainAs`. */
export const trainAmdim = (flags: AmdimFlags & PlaceFlags) => trainAs(trainable, flags)

/** Adds `kindred train amdim`, and returns it. */
export function addAmdim(train: Command): Command {
  const own = beginning(
    train.command('amdim'),
    'AMDIM (Bachman et al. 2019): features of one view predict those of the other, across scales',
  )
    .option(
      '--width <channels>',
      "channels of the encoder's first layer, the authors' ndf",
      channels,
    )
    .option(
      '--features <n>',
      "size of the features at every scale, the authors' n_rkhs",
      featureCount,
    )
    .option('--depth <n>', "layers of each residual block, the authors' n_depth", count)
    .option('--encoder-norm', 'normalise the residual branches')
    .option('--no-encoder-norm', 'do not')
    .option('--epochs <n>', 'times through the data', count)
    .option(
      '--batch <n>',
      'images per step; each is compared with every other one of its batch',
      count,
    )
    .option('--lr <rate>', 'learning rate, before warm-up and decay', positive)
  return measuring(chunking(own)).addHelpText(
    'after',
    `
Presets (--preset), with the options above on top:
${presetLines('amdim')}
  Without --data, and on a CPU, the preset is amdim-demo; with it amdim-cifar-small, for STL-10 amdim-stl10.

Linear and MLP classifiers are trained along, without a gradient to the encoder; kindred eval linear|mlp trains them anew.

Examples:
  ${command('train', 'amdim')}
  ${command('train', 'amdim')} --data cifar10:cifar-10-batches-bin --preset amdim-cifar-large --out runs/amdim
  ${command('train', 'amdim')} --resume runs/amdim`,
  )
}
