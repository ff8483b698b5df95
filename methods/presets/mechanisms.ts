// The settings of the two mechanisms that MoCo is compared with, by name: MoCo's own but for what
// sets them apart.

import { type MocoSettings, cifar10, demo, imagenet } from './moco.ts'
import { instanceRecipe } from './moco-recipes.ts'
import type { PresetOf, Settings } from './settings.ts'

/** Everything about a memory-bank run but its data, its length and its seed. */
export interface MemoryBankSettings extends Settings {
  readonly head: { readonly style: 'linear' | 'mlp'; readonly dim: number }
  readonly negatives: number
  readonly loss: 'infonce' | 'nce'
  /** m of the slots. */
  readonly momentum: number
}

/** Everything about an end-to-end run but its data, its length and its seed. */
export interface EndToEndSettings extends Settings {
  readonly head: { readonly style: 'linear' | 'mlp'; readonly dim: number }
}

const withoutMoco = ({
  queue: _queue,
  momentum: _momentum,
  symmetric: _symmetric,
  bnSplits: _bnSplits,
  shuffle: _shuffle,
  ...settings
}: MocoSettings) => ({ ...settings, head: { style: 'linear', dim: settings.head.dim } }) as const

/** Memory-bank presets by name. */
export const memoryBankPresets: Readonly<Record<string, PresetOf<MemoryBankSettings>>> = {
  'memory-bank-imagenet': {
    about:
      'Instance Discrimination on ImageNet (arXiv:1805.01978): NCE with 4096 negatives, T 0.07, m 0.5, SGD 0.03, 200 epochs',
    size: 224,
    settings: (size, batch) => ({
      ...withoutMoco(imagenet(size, batch)),
      negatives: 4096,
      loss: 'nce',
      momentum: 0.5,
    }),
  },
  'memory-bank-moco': {
    about:
      "the memory bank of MoCo's comparison (arXiv:1911.05722, section 4.1): InfoNCE with 65536 negatives",
    size: 224,
    settings: (size, batch) => ({
      ...withoutMoco(imagenet(size, batch)),
      negatives: 65536,
      loss: 'infonce',
      momentum: 0.5,
    }),
  },
  'memory-bank-cifar10': {
    about:
      "Instance Discrimination on CIFAR-10 (lemniscate.pytorch's cifar.py): NCE with 4096 negatives, T 0.1, SGD 0.03, batch 128, 200 epochs",
    size: 32,
    // As cifar.py at f7cfe29, its last version: 0.03, a tenth of it from epochs 120 and 160 of 200.
    // Its first version (06c2d49) has 0.1, and calls no decay.
    settings: (size, batch = 128) => ({
      ...withoutMoco(cifar10(size, batch)),
      views: instanceRecipe(size),
      schedule: { name: 'step', lr: (0.03 * batch) / 128, warmupEpochs: 0 },
      negatives: 4096,
      loss: 'nce',
      momentum: 0.5,
    }),
  },
  'memory-bank-demo': {
    about:
      'ResNet-8 on 1000 of the built-in images, for a CPU: InfoNCE with 256 negatives, T 0.2, Adam 1e-3, 40 epochs',
    size: 32,
    subset: 1000, // a slot is an epoch old when its image comes again: in a short run epochs must be short
    settings: (size, batch = 64) => ({
      ...withoutMoco(demo(size, batch)),
      temperature: 0.2,
      schedule: { name: 'cosine', lr: 1e-3, warmupEpochs: 1 },
      epochs: 40,
      negatives: 256,
      loss: 'infonce',
      momentum: 0.5,
    }),
  },
}

/** End-to-end presets by name. */
export const endToEndPresets: Readonly<Record<string, PresetOf<EndToEndSettings>>> = {
  'end-to-end-imagenet': {
    about:
      "the end-to-end mechanism of MoCo's comparison (arXiv:1911.05722, section 4.1): batch 1024, SGD 0.03 x batch/256",
    size: 224,
    settings: (size, batch = 1024) => withoutMoco(imagenet(size, batch)),
  },
  'end-to-end-cifar10': {
    about: 'the same mechanism with the optimizer and views of the CIFAR-10 demo; no published run',
    size: 32,
    settings: (size, batch) => withoutMoco(cifar10(size, batch)),
  },
  'end-to-end-demo': {
    about: 'ResNet-8 on the built-in images, for a CPU: Adam 3e-3, batch 128, 5 epochs',
    size: 32,
    settings: (size, batch) => ({
      ...withoutMoco(demo(size, batch)),
      temperature: 0.2,
    }),
  },
}
