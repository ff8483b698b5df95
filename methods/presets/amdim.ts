// AMDIM in the registry: its presets, options and networks. The presets are those of the authors'
// code (github.com/Philip-Bachman/amdim-public). Its author says that the code made the paper's
// results ("all other defaults", issue 3). The code differs from the paper
// (https://arxiv.org/abs/1906.00910) in the weight of the penalty, 0.05 for 0.04, and in the rate
// and warm-up; the paper's other CIFAR configuration was a mistake. Differences from the code here:
// no batch of zeros passes through the encoder first, no test image warms up batch norm, batch norm
// covers the whole batch (the authors' a GPU's share), bicubic resampling does not round between
// the axes, and pixels stay floats.

import type { Normalization, Recipe } from '../../kernels/augment/recipes.ts'
import { integersOf } from '../../kernels/numbers.ts'
import type { Tensor } from '../../kernels/op.ts'
import type { IndexList } from '../../kernels/wgsl/indices.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { Adam } from '../../engine/optim/optimizer.ts'
import { amdimEncoder } from '../../models/amdim-encoder.ts'
import { classifiers } from '../../models/classifiers.ts'
import { amdim, amdimLosses } from '../amdim.ts'
import { type Configured, entry, nothing } from '../entry.ts'
import { batchFlag, epochsFlag, lrFlag, option } from '../settings/flags.ts'
import type { PresetOf } from '../settings/settings.ts'
import { type AmdimSettings, amdimRules, amdimSchedule, checkMaps } from './amdim-rules.ts'

export type AmdimPreset = PresetOf<AmdimSettings>

const rgb = (r: number, g: number, b: number) => [r / 255, g / 255, b / 255] as const
const cifarStatistics: Normalization = { mean: rgb(125.3, 123, 113.9), std: rgb(63, 62.1, 66.7) }
const naturalStatistics: Normalization = { mean: [0.43, 0.42, 0.39], std: [0.27, 0.26, 0.27] }

/** The part of every recipe: one flip for both views, jitter, grey (datasets.py). */
const common = (hue: number): Recipe => ({
  flip: 0.5,
  sharedFlip: true,
  jitter: { p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue },
  grayscale: 0.25,
})

/** CIFAR's recipe: views move by up to 4 pixels, without a crop. */
const cifarViews = (size: number): Recipe => ({
  ...common(0.2),
  size,
  translate: { p: 0.8, pixels: 4 },
  normalize: cifarStatistics,
})

/** The recipe of STL-10 and ImageNet: a bicubic crop. The test transform resizes an image to
 *  `testResize` and crops the middle. */
const cropped = (size: number, hue: number, testResize: number): Recipe => ({
  ...common(hue),
  size,
  crop: { scale: [0.3, 1], ratio: [0.7, 1.4] },
  resample: 'bicubic',
  testResize,
  normalize: naturalStatistics,
})

const usual = {
  classifiers: { hidden: 1024, dropout: 0.2 },
  clip: 20,
  penalty: 0.05,
  optimizer: { name: 'adam', betas: [0.8, 0.999], weightDecay: 1e-5 },
  schedule: { name: 'step', lr: 2e-4, warmupSteps: 500, milestones: [250, 280], gamma: 0.2 },
  epochs: 300,
  evaluation: { epochs: 120, milestones: [80, 110] },
  knn: { temperature: 0.1 },
} as const

const model = (width: number, features: number, depth: number) =>
  ({ name: 'amdim', width, features, depth, batchNorm: false }) as const

const cifarSmall: AmdimPreset = {
  about:
    'CIFAR-10/100 small: width 128, features 1024, depth 10, batch 480, 300 epochs (32 ' +
    'million weights)',
  size: 32,
  settings: (size, batch = 480) => ({
    ...usual,
    model: model(128, 1024, 10),
    views: cifarViews(size),
    batch,
  }),
}

const cifarLarge: AmdimPreset = {
  about:
    'CIFAR-10/100 large: width 256, features 2048, depth 10, batch 480, 300 epochs (128 ' +
    'million weights)',
  size: 32,
  settings: (size, batch = 480) => ({
    ...usual,
    model: model(256, 2048, 10),
    views: cifarViews(size),
    batch,
  }),
}

const stl10: AmdimPreset = {
  about:
    'STL-10 with stl10-unlabeled: as CIFAR large, bicubic crops of 64 px, batch 480 (425 ' +
    'million weights)',
  size: 64,
  settings: (size, batch = 480) => ({
    ...usual,
    model: model(256, 2048, 10),
    views: cropped(size, 0.2, Math.round((size * 70) / 64)),
    batch,
  }),
}

const imagenet128: AmdimPreset = {
  about:
    'ImageNet at 128 px: width 192, features 1536, depth 8, batch 480, 50 epochs (208 ' +
    'million weights)',
  size: 128,
  settings: (size, batch = 480) => ({
    ...usual,
    model: model(192, 1536, 8),
    views: cropped(size, 0.1, Math.round((size * 146) / 128)),
    schedule: { ...usual.schedule, milestones: [30, 45] },
    batch,
    epochs: 50,
    evaluation: { epochs: 30, milestones: [15, 25] },
  }),
}

/** The demo, a few minutes on a CPU: a small encoder with batch norm, a high learning rate, and
 *  crops. A crop keeps the pattern by which the classes of the built-in images differ. */
const demo: AmdimPreset = {
  about:
    'a small encoder on the built-in images, minutes on a CPU: width 8, features 64, batch ' +
    '64, 5 epochs',
  size: 32,
  settings: (size, batch = 64) => ({
    ...usual,
    model: { ...model(8, 64, 1), batchNorm: true },
    classifiers: { hidden: 64, dropout: 0.2 },
    views: {
      ...common(0.2),
      size,
      crop: { scale: [0.3, 1], ratio: [3 / 4, 4 / 3] },
      normalize: cifarStatistics,
    },
    schedule: { ...usual.schedule, lr: 2e-3, warmupSteps: 20, milestones: [4] },
    batch,
    epochs: 5,
    evaluation: { epochs: 20, milestones: [14, 18] },
  }),
}

/** AMDIM's presets by name. */
export const amdimPresets: Readonly<Record<string, AmdimPreset>> = {
  'amdim-cifar-small': cifarSmall,
  'amdim-cifar-large': cifarLarge,
  'amdim-stl10': stl10,
  'amdim-imagenet128': imagenet128,
  'amdim-demo': demo,
}

/** AMDIM in the registry. */
export const amdimEntry = entry<AmdimSettings>({
  name: 'amdim',
  title: 'AMDIM',
  about:
    'AMDIM (Bachman et al. 2019): features of one view predict those of the other, across scales',
  presets: amdimPresets,
  presetFor({ data, software }) {
    if (data === undefined || software) return 'amdim-demo'
    return data.startsWith('stl10') ? 'amdim-stl10' : 'amdim-cifar-small'
  },
  presetWords:
    'The default is amdim-demo without --data and on a CPU, amdim-stl10 for STL-10, else ' +
    'amdim-cifar-small. Linear and MLP classifiers train along, without a gradient to the ' +
    'encoder; kindred eval linear|mlp trains them anew.',
  rules: amdimRules,
  check: checkMaps,
  compared: () => true,
  flags: [
    option(
      '--width <channels>',
      'model.width',
      'channels',
      "channels of the encoder's first layer, the authors' ndf",
    ),
    option(
      '--features <n>',
      'model.features',
      'features',
      "size of the features at every scale, the authors' n_rkhs",
    ),
    option(
      '--depth <n>',
      'model.depth',
      'count',
      "layers of each residual block, the authors' n_depth",
    ),
    option('--encoder-norm', 'model.batchNorm', 'switch', 'batch norm in the residual branches'),
    option(
      '--no-encoder-norm',
      'model.batchNorm',
      'switch',
      'no batch norm in the residual branches',
    ),
    epochsFlag,
    batchFlag,
    lrFlag,
  ],
  describe: ({ model: { width, features, depth } }) =>
    `an encoder of width ${width}, ${features} features, depth ${depth}`,
  warmup: ({ schedule }) => schedule.warmupSteps,
  encoder: encoderOf,
  head: () => null,
  build(gpu, settings, { images: { labels, classes }, stepsPerEpoch, capture, scaler }) {
    const { clip, penalty, views, chunk: most = null, seed } = settings
    const encoder = encoderOf(gpu, settings)
    const shape = { features: encoder.features, classes: classes.length, ...settings.classifiers }
    const head = labels ? classifiers(gpu, { ...shape, seed }) : null
    const { betas, weightDecay } = settings.optimizer
    const parameters = { ...encoder.parameters, ...head?.parameters }
    const optimizer = new Adam(parameters, { betas, weightDecay })
    const schedule = amdimSchedule(settings.schedule, stepsPerEpoch)
    const trainer = amdim(gpu, {
      ...{ encoder, classifiers: head, optimizer, schedule, clip, penalty, views, chunk: most },
      ...{ seed, capture, ...(scaler && { scaler }) },
    })
    const labelsOf = (indices: IndexList) =>
      labels && integersOf('train', indices).map((index) => labels[index] ?? -1)
    return {
      ...trainer,
      step: (batch, indices) => trainer.step(batch, labelsOf(indices)),
      warm: (batch, indices) => trainer.warm(batch, labelsOf(indices)),
      ...{ terms: amdimLosses, head: head ?? noHead, optimizer, schedule, kept: nothing },
    }
  },
})

const noHead = { parameters: {}, norms: {}, features: 0, forward: (x: Tensor) => x }

function encoderOf(gpu: Gpu, { model: shape, size, seed }: Configured<AmdimSettings>) {
  const { width, features, depth, batchNorm } = shape
  return amdimEncoder(gpu, { width, features, depth, batchNorm, size, seed })
}
