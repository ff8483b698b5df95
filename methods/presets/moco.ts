// The settings of MoCo's experiments, by name.

import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import { demoRecipe, mocoV1Recipe, mocoV2Recipe, mocoV3Recipes } from './moco-recipes.ts'
import type { PresetOf, Settings } from './settings.ts'

/** Everything about a MoCo run but its data, its length and its seed. */
export interface MocoSettings extends Settings {
  readonly head:
    | { readonly style: 'linear' | 'mlp'; readonly dim: number }
    | { readonly style: 'v3'; readonly hidden: number; readonly dim: number }
  /** K; null for v3, whose keys are the batch's. */
  readonly queue: number | null
  /** m, and whether it rises to 1 along a cosine. */
  readonly momentum: { readonly start: number; readonly rising: boolean }
  readonly symmetric: boolean
  readonly bnSplits: number
  readonly shuffle: boolean
}

const model = (name: 'resnet18' | 'resnet50', size: number) =>
  ({ name, stem: size <= 64 ? 'cifar' : 'imagenet', width: 64, zeroInitResidual: false }) as const
const linear = { style: 'linear', dim: 128 } as const
const mlp = { style: 'mlp', dim: 128 } as const
const plain = { symmetric: false, bnSplits: 1, shuffle: false } as const
const constantM = (start: number) => ({ start, rising: false })

/** MoCo v1 on ImageNet: sections 3.3 and 4, facebookresearch/moco's defaults. ShuffleBN over 8 GPUs
 *  is 8 splits here. */
export const imagenet = (size: number, batch = 256): MocoSettings => ({
  model: model('resnet50', size),
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

/** The repository's CIFAR-10 demo (colab/moco_cifar10_demo.ipynb), measured as there on the head's
 *  output. */
export const cifar10 = (size: number, batch = 512): MocoSettings => ({
  ...imagenet(size, batch),
  model: model('resnet18', size),
  views: cifarRecipe(size),
  temperature: 0.1,
  optimizer: { name: 'sgd', weightDecay: 5e-4 },
  schedule: { name: 'cosine-by-epoch', lr: (0.06 * batch) / 512, warmupEpochs: 0, firstEpoch: 1 },
  knn: { temperature: 0.1, layer: 'embedding' },
  queue: 4096,
  momentum: constantM(0.99),
})

const v3 = (size: number, batch: number): MocoSettings => ({
  ...imagenet(size, batch),
  ...plain,
  head: { style: 'v3', hidden: 4096, dim: 256 },
  optimizer: { name: 'lars', weightDecay: 1e-6 },
  queue: null,
  momentum: { start: 0.99, rising: true },
})

/** The built-in images: as simclr-demo, with what MoCo adds made small. Splits, since a query could
 *  otherwise tell its key by the batch that both come from: the queue's keys come from others. */
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

/** What suits a queue in a run of some hundred steps: at the rate that SimCLR's demo has, the
 *  queue's keys are of another encoder than the query, which then learns to tell the two apart and
 *  nothing else. So steps are small, and many, and the queue holds the keys of four. */
const slowly = (size: number, batch = 64): MocoSettings => {
  const settings = demo(size, batch)
  return {
    ...settings,
    temperature: 0.2,
    schedule: { ...settings.schedule, lr: 5e-4 },
    queue: 256,
  }
}

/** MoCo's presets by name. */
export const mocoPresets: Readonly<Record<string, PresetOf<MocoSettings>>> = {
  'moco-v1': {
    about:
      'MoCo v1 on ImageNet (arXiv:1911.05722): linear head, K 65536, m 0.999, T 0.07, SGD 0.03, 200 epochs',
    size: 224,
    settings: imagenet,
  },
  'moco-v2': {
    about: 'MoCo v2 on ImageNet (arXiv:2003.04297): MLP head, T 0.2, blur, cosine; the rest as v1',
    size: 224,
    settings: (size, batch = 256) => ({
      ...imagenet(size, batch),
      head: mlp,
      views: mocoV2Recipe(size),
      temperature: 0.2,
      schedule: { name: 'cosine-by-epoch', lr: (0.03 * batch) / 256, warmupEpochs: 0 },
    }),
  },
  'moco-v3': {
    about:
      'MoCo v3, ResNet-50 on ImageNet (arXiv:2104.02057): no queue, predictor, T 1, m 0.99 to 1, LARS 0.6 x batch/256, 100 epochs',
    size: 224,
    settings: (size, batch = 4096) => ({
      ...v3(size, batch),
      views: mocoV3Recipes(size),
      temperature: 1,
      schedule: { name: 'cosine', lr: (0.6 * batch) / 256, warmupEpochs: 10 },
      epochs: 100,
    }),
  },
  'moco-v1-cifar10': {
    about:
      "facebookresearch/moco's CIFAR-10 demo: K 4096, m 0.99, T 0.1, 8 splits, SGD 0.06, batch 512, 200 epochs (--symmetric for its other row)",
    size: 32,
    settings: cifar10,
  },
  'moco-v2-cifar10': {
    about: "the CIFAR-10 demo with v2's MLP head and temperature 0.2; no published run",
    size: 32,
    settings: (size, batch) => ({ ...cifar10(size, batch), head: mlp, temperature: 0.2 }),
  },
  'moco-v3-cifar10': {
    about:
      'MoCo v3 for CIFAR-10 as solo-learn sets it: ResNet-18, T 0.2, m 0.99 to 1, LARS 0.3 x batch/256, batch 256, 1000 epochs',
    size: 32,
    settings: (size, batch = 256) => ({
      ...v3(size, batch),
      model: model('resnet18', size),
      views: cifarRecipe(size),
      temperature: 0.2,
      schedule: { name: 'cosine', lr: (0.3 * batch) / 256, warmupEpochs: 10 },
      epochs: 1000,
    }),
  },
  'moco-v1-demo': {
    about:
      'ResNet-8 on the built-in images, for a CPU: linear head, K 256, m 0.99, T 0.2, Adam 5e-4, batch 64, 5 epochs',
    size: 32,
    settings: slowly,
  },
  'moco-v2-demo': {
    about: 'the same with an MLP head',
    size: 32,
    settings: (size, batch) => ({ ...slowly(size, batch), head: { style: 'mlp', dim: 64 } }),
  },
  'moco-v3-demo': {
    about: 'the same with a predictor and the keys of the batch, m 0.95 to 1, Adam 3e-3, batch 128',
    size: 32,
    settings: (size, batch) => ({
      ...demo(size, batch),
      ...plain,
      head: { style: 'v3', hidden: 128, dim: 64 },
      queue: null,
      temperature: 0.2,
      momentum: { start: 0.95, rising: true },
    }),
  },
}
