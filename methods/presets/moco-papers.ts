// Settings of MoCo's papers. The presets of MoCo, memory bank and end-to-end begin with them.

import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import type { MocoHead, Projector } from '../settings/heads.ts'
import { demoRecipe, mocoV1Recipe } from './moco-recipes.ts'
import type { TowerSettings } from './tower.ts'

/** Settings of MoCo. */
export interface MocoSettings extends TowerSettings {
  readonly head: MocoHead | Projector
  /** Length K of the queue; null for v3, whose keys come from the batch. */
  readonly queue: number | null
  /** Momentum m of the key encoder. `rising` lets it rise to 1 along a cosine. */
  readonly momentum: { readonly start: number; readonly rising: boolean }
  readonly symmetric: boolean
  readonly bnSplits: number
  readonly shuffle: boolean
}

export const resnetOf = (name: 'resnet18' | 'resnet50', size: number) =>
  ({ name, stem: size <= 64 ? 'cifar' : 'imagenet', width: 64, zeroInitResidual: false }) as const
const linear = { style: 'linear', dim: 128 } as const
export const mlpHead = { style: 'mlp', dim: 128 } as const
export const plain = { symmetric: false, bnSplits: 1, shuffle: false } as const
const constantM = (start: number) => ({ start, rising: false })

/** MoCo v1 on ImageNet (sections 3.3 and 4; facebookresearch/moco's defaults). Shuffling BN over 8
 *  GPUs is 8 splits here. */
export const imagenet = (size: number, batch = 256): MocoSettings => ({
  model: resnetOf('resnet50', size),
  head: linear,
  views: mocoV1Recipe(size),
  temperature: 0.07,
  optimizer: { name: 'sgd', weightDecay: 1e-4 },
  schedule: { name: 'step', lr: (0.03 * batch) / 256, warmupEpochs: 0 },
  batch,
  epochs: 200,
  knn: { temperature: 0.1 },
  queue: 65536,
  momentum: constantM(0.999),
  symmetric: false,
  bnSplits: 8,
  shuffle: true,
})

/** The CIFAR-10 demo of facebookresearch/moco (colab/moco_cifar10_demo.ipynb). kNN compares the
 *  head's output, as there. */
export const cifar10 = (size: number, batch = 512): MocoSettings => ({
  ...imagenet(size, batch),
  model: resnetOf('resnet18', size),
  views: cifarRecipe(size),
  temperature: 0.1,
  optimizer: { name: 'sgd', weightDecay: 5e-4 },
  schedule: { name: 'cosine-by-epoch', lr: (0.06 * batch) / 512, warmupEpochs: 0, firstEpoch: 1 },
  knn: { temperature: 0.1, layer: 'embedding' },
  queue: 4096,
  momentum: constantM(0.99),
})

/** MoCo v3: a predictor instead of the queue, LARS, rising momentum. */
export const v3 = (size: number, batch: number): MocoSettings => ({
  ...imagenet(size, batch),
  ...plain,
  head: { style: 'v3', hidden: 4096, dim: 256 },
  optimizer: { name: 'lars', weightDecay: 1e-6 },
  queue: null,
  momentum: { start: 0.99, rising: true },
})

/** The built-in images: as simclr-demo, with a small queue and head. Batch norm is split. Without
 *  splits, the statistics of a query's batch tell its key from the queue's keys of other
 *  batches. */
export const demo = (size: number, batch = 128): MocoSettings => ({
  model: { name: 'resnet8', stem: 'cifar', width: 16, zeroInitResidual: false },
  head: { style: 'linear', dim: 64 },
  views: demoRecipe(size),
  temperature: 0.1,
  optimizer: { name: 'adam', weightDecay: 1e-6 },
  schedule: { name: 'cosine', lr: 3e-3, warmupEpochs: 1 },
  batch,
  epochs: 5,
  knn: { temperature: 0.1 },
  queue: 1024,
  momentum: constantM(0.99),
  symmetric: false,
  bnSplits: 8,
  shuffle: true,
})

/** The demo with a queue, for a run of some hundred steps. At the rate of SimCLR's demo, the
 *  encoder changes so fast that the query learns only to tell its key's encoder from that of the
 *  queue's old keys. So steps are small and many, and the queue holds the keys of four steps. */
export const slowly = (size: number, batch = 64): MocoSettings => {
  const settings = demo(size, batch)
  return {
    ...settings,
    temperature: 0.2,
    schedule: { ...settings.schedule, lr: 5e-4 },
    queue: 256,
  }
}

/** Removes the settings that only MoCo has. */
export const withoutMoco = ({
  queue: _queue,
  momentum: _momentum,
  symmetric: _symmetric,
  bnSplits: _bnSplits,
  shuffle: _shuffle,
  ...settings
}: MocoSettings) => ({ ...settings, head: { style: 'linear', dim: settings.head.dim } }) as const
