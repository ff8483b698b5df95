// The settings of AMDIM's experiments, by name: plain data, what a run folder's config.json holds
// of it. They are those of the authors' code (github.com/Philip-Bachman/amdim-public), which its
// author says made the results ("all other defaults", issue 3). Where it deviates from the paper
// (https://arxiv.org/abs/1906.00910): the penalty's weight is 0.05, the paper says 0.04; learning
// rate and warm-up are the code's, the paper's other CIFAR configuration was a mistake. Where this
// deviates from the code: no batch of zeros passes through the encoder before training, batch norm
// is not warmed up on test images, batches have one device (the authors' norms saw a GPU's share),
// bicubic resampling does not round between the axes, pixels stay floats throughout.

import type { Normalization, Recipe } from '../../kernels/augment/recipes.ts'

/** Everything about an AMDIM run but its data, its length and its seed. */
export interface AmdimSettings {
  /** Width is the authors' ndf, features their n_rkhs, depth n_depth. */
  readonly model: {
    readonly name: 'amdim'
    readonly width: number
    readonly features: number
    readonly depth: number
    readonly batchNorm: boolean
  }
  readonly classifiers: { readonly hidden: number; readonly dropout: number }
  readonly views: Recipe
  /** c and λ of the loss. */
  readonly clip: number
  readonly penalty: number
  readonly optimizer: {
    readonly name: 'adam'
    readonly betas: readonly [number, number]
    readonly weightDecay: number
  }
  /** `lr` climbs over so many steps and is multiplied by `gamma` at each milestone, in epochs. */
  readonly schedule: {
    readonly name: 'step'
    readonly lr: number
    readonly warmupSteps: number
    readonly milestones: readonly number[]
    readonly gamma: number
  }
  readonly batch: number
  /** Images encoded at a time; a batch at once where there is none. */
  readonly chunk?: number | null
  readonly epochs: number
  /** Of classifiers trained on the frozen encoder afterwards. */
  readonly evaluation: { readonly epochs: number; readonly milestones: readonly number[] }
  readonly knn: { readonly temperature: number }
}

export interface AmdimPreset {
  /** One line for lists: what it is and where it comes from. */
  readonly about: string
  /** Image size the preset is made for, in pixels. */
  readonly size: number
  readonly settings: (size: number, batch?: number) => AmdimSettings
}

const rgb = (r: number, g: number, b: number) => [r / 255, g / 255, b / 255] as const
const cifarStatistics: Normalization = { mean: rgb(125.3, 123, 113.9), std: rgb(63, 62.1, 66.7) }
const naturalStatistics: Normalization = { mean: [0.43, 0.42, 0.39], std: [0.27, 0.26, 0.27] }

/** What all views share: one flip for both, jitter, grey (datasets.py). */
const common = (hue: number): Recipe => ({
  flip: 0.5,
  sharedFlip: true,
  jitter: { p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue },
  grayscale: 0.25,
})

/** CIFAR: moved by up to 4 pixels, no crop. */
const cifarViews = (size: number): Recipe => ({
  ...common(0.2),
  size,
  translate: { p: 0.8, pixels: 4 },
  normalize: cifarStatistics,
})

/** STL-10 and ImageNet: a bicubic crop; tests cut the middle of an image resized to
 *  `testResize`. */
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
    'CIFAR-10/100 small: width 128, features 1024, depth 10, batch 480, 300 epochs (32 million weights)',
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
    'CIFAR-10/100 large: width 256, features 2048, depth 10, batch 480, 300 epochs (128 million weights)',
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
    'STL-10 with stl10-unlabeled: as CIFAR large, bicubic crops of 64 px, batch 480 (425 million weights)',
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
    'ImageNet at 128 px: width 192, features 1536, depth 8, batch 480, 50 epochs (208 million weights)',
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

/** A few minutes on a CPU: a small encoder with batch norm, a high learning rate, and crops, since
 *  the built-in images are told apart by what a crop keeps. */
const demo: AmdimPreset = {
  about:
    'a small encoder on the built-in images, minutes on a CPU: width 8, features 64, batch 64, 5 epochs',
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
