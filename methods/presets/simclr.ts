// SimCLR in the registry: its presets, options and networks.

import * as v from 'valibot'
import { type Recipe, cifarRecipe, imagenetRecipe } from '../../kernels/augment/recipes.ts'
import type { IndexList } from '../../kernels/wgsl/indices.ts'
import { integersOf } from '../../kernels/numbers.ts'
import { lossScale } from '../../models/loss-scale.ts'
import { parametersOf } from '../../models/parts.ts'
import { type Extent, entry, nothing } from '../entry.ts'
import type { ImageBatch } from '../image-batch.ts'
import { option } from '../settings/flags.ts'
import { type ProjectionHead, projectionHeadRule } from '../settings/heads.ts'
import { optimizerOf } from '../settings/optimizers.ts'
import { recipe } from '../settings/recipe.ts'
import { wordOf } from '../settings/rules.ts'
import type { PresetOf } from '../settings/settings.ts'
import { firstTemperature } from '../settings/temperatures.ts'
import { type ContrastiveLossName, contrastiveLosses } from '../contrastive-losses.ts'
import { simclr } from '../simclr.ts'
import {
  type TowerSettings,
  presetsBy,
  stepOptions,
  towerMethod,
  towerOf,
  towerRules,
} from './tower.ts'

/** Settings of SimCLR. */
export interface SimclrSettings extends TowerSettings {
  readonly views: Recipe
  readonly head: ProjectionHead
  readonly batchNorm: 'per-view' | 'joint'
  readonly loss: ContrastiveLossName
}

export type Preset = PresetOf<SimclrSettings>

/** leftthomas/SimCLR's CIFAR-10 settings (github.com/leftthomas/SimCLR, main.py): batch norm per
 *  view, Adam at a constant 1e-3, temperature 0.5, no blur. Its encoder is ResNet-50, here --model
 *  resnet50. */
const cifar10: Preset = {
  about:
    'leftthomas/SimCLR on CIFAR-10: Adam 1e-3, weight decay 1e-6, temperature 0.5, batch ' +
    '512, 500 epochs',
  size: 32,
  settings: (size, batch = 512) => ({
    model: {
      name: 'resnet18',
      stem: size <= 64 ? 'cifar' : 'imagenet',
      width: 64,
      zeroInitResidual: false,
    },
    head: { style: 'leftthomas', hidden: 512, dim: 128 },
    views: cifarRecipe(size),
    batchNorm: 'per-view',
    loss: 'nt-xent',
    temperature: 0.5,
    optimizer: { name: 'adam', weightDecay: 1e-6 },
    schedule: { name: 'constant', lr: 1e-3, warmupEpochs: 0 },
    batch,
    epochs: 500,
    knn: { temperature: 0.5 },
  }),
}

/** The paper's ImageNet settings (https://arxiv.org/abs/2002.05709, section 2.2 and appendix A):
 *  LARS with lr 0.3 x batch / 256, weight decay 1e-6, 10 epochs of warm-up, cosine decay,
 *  temperature 0.1, batch norm over both views. */
const imagenet: Preset = {
  about:
    "the paper's ImageNet run: LARS 0.3 x batch/256, warm-up 10, cosine, temperature 0.1, " +
    'batch 4096, 100 epochs',
  size: 224,
  settings: (size, batch = 4096) => ({
    model: {
      name: 'resnet50',
      stem: size <= 64 ? 'cifar' : 'imagenet',
      width: 64,
      zeroInitResidual: true,
    },
    head: { style: 'paper', hidden: 2048, dim: 128 },
    views: imagenetRecipe(size),
    batchNorm: 'joint',
    loss: 'nt-xent',
    temperature: 0.1,
    optimizer: { name: 'lars', weightDecay: 1e-6 },
    schedule: { name: 'cosine', lr: (0.3 * batch) / 256, warmupEpochs: 10 },
    batch,
    epochs: 100,
    knn: { temperature: 0.1 },
  }),
}

/** The demo: ResNet-8 on the built-in images. Crops keep at least 0.3 of the area, so that a few
 *  periods of a pattern stay visible. A small batch needs the low temperature. */
const demo: Preset = {
  about:
    'ResNet-8 on the built-in images, a few minutes on a CPU: Adam 3e-3, temperature 0.2, ' +
    'batch 128, 5 epochs',
  size: 32,
  settings: (size, batch = 128) => ({
    model: { name: 'resnet8', stem: 'cifar', width: 16, zeroInitResidual: false },
    head: { style: 'leftthomas', hidden: 128, dim: 64 },
    views: { ...cifarRecipe(size), crop: { scale: [0.3, 1], ratio: [3 / 4, 4 / 3] } },
    batchNorm: 'per-view',
    loss: 'nt-xent',
    temperature: 0.2,
    optimizer: { name: 'adam', weightDecay: 1e-6 },
    schedule: { name: 'cosine', lr: 3e-3, warmupEpochs: 1 },
    batch,
    epochs: 5,
    knn: { temperature: 0.1 },
  }),
}

/** SimCLR's presets by name. */
export const simclrPresets: Readonly<Record<string, Preset>> = {
  'simclr-cifar10': cifar10,
  'simclr-imagenet': imagenet,
  'simclr-demo': demo,
}

const lossNames = Object.keys(contrastiveLosses) as ContrastiveLossName[]

/** SimCLR in the registry. */
export const simclrEntry = entry<SimclrSettings>({
  ...towerMethod,
  ...presetsBy('simclr-demo', 'simclr-cifar10'),
  name: 'simclr',
  title: 'SimCLR',
  about: 'SimCLR (Chen et al. 2020): two augmented views of each image attract, all others repel',
  presets: simclrPresets,
  rules: {
    ...towerRules,
    views: recipe,
    head: projectionHeadRule,
    batchNorm: wordOf('per-view', 'joint'),
    loss: v.optional(wordOf(...lossNames), 'nt-xent'),
  },
  flags: [
    ...towerMethod.flags,
    option(
      '--batch-norm <kind>',
      'batchNorm',
      'word',
      "per-view (as the popular PyTorch code) or joint over both views (as the paper's)",
    ),
    option(
      '--loss <kind>',
      'loss',
      'word',
      'nt-xent, dcl, dclw, sup-con (needs labels) or sig-lip (learns its temperature and a bias)',
    ),
  ],
  build(gpu, settings, extent) {
    const tower = towerOf(gpu, settings)
    const { batchNorm, loss: name, temperature } = settings
    const loss = contrastiveLosses[name]
    const scale = loss.learnsScale
      ? lossScale(gpu, { temperature: firstTemperature(temperature) })
      : null
    const optimizer = optimizerOf(settings, { ...parametersOf(tower), ...scale?.parameters })
    const options = { ...stepOptions(settings, extent), batchNorm, loss, ...(scale && { scale }) }
    const trainer = simclr(gpu, { ...tower, ...options, optimizer })
    const labels = loss.needsLabels ? labelsFrom(name, extent) : null
    const told = (batch: ImageBatch, indices: IndexList) =>
      labels ? labels(batch, indices) : batch
    return {
      ...trainer,
      step: (batch, indices) => trainer.step(told(batch, indices)),
      warm: (batch, indices) => trainer.warm(told(batch, indices)),
      ...{ optimizer, schedule: options.schedule },
      kept: scale ? { ...nothing, models: { '': scale } } : nothing,
    }
  },
})

/** Returns a function that adds the labels to a batch. Throws Error for images without labels. */
function labelsFrom(loss: string, { images: { labels } }: Extent) {
  if (!labels)
    throw new Error(
      `--loss: ${loss} needs labels, and the images have none; put each class into a ` +
        'folder of its own, or choose another loss',
    )
  return (batch: ImageBatch, indices: IndexList): ImageBatch => ({
    ...batch,
    labels: integersOf('train', indices).map((index) => labels[index] ?? -1),
  })
}
