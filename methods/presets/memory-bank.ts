// Instance Discrimination in the registry. Its presets are MoCo's with a memory bank for the queue.

import { MemoryBank } from '../../models/memory-bank.ts'
import { parametersOf } from '../../models/parts.ts'
import { entry, nothing } from '../entry.ts'
import { memoryBank } from '../memory-bank.ts'
import { option } from '../settings/flags.ts'
import { type MocoHead, mocoHeadRule } from '../settings/heads.ts'
import { optimizerOf } from '../settings/optimizers.ts'
import { wordOf, fraction, integer } from '../settings/rules.ts'
import type { PresetOf } from '../settings/settings.ts'
import { cifar10, demo, imagenet, withoutMoco } from './moco-papers.ts'
import { instanceRecipe } from './moco-recipes.ts'
import {
  type TowerSettings,
  presetsBy,
  stepOptions,
  towerMethod,
  towerOf,
  towerRules,
} from './tower.ts'

/** Settings of a memory bank. */
export interface MemoryBankSettings extends TowerSettings {
  readonly head: MocoHead
  readonly negatives: number
  readonly loss: 'infonce' | 'nce'
  /** Momentum m of a slot's update. */
  readonly momentum: number
}

/** Memory-bank presets by name. */
export const memoryBankPresets: Readonly<Record<string, PresetOf<MemoryBankSettings>>> = {
  'memory-bank-imagenet': {
    about:
      'Instance Discrimination on ImageNet (arXiv:1805.01978): NCE with 4096 negatives, T ' +
      '0.07, m 0.5, SGD 0.03, 200 epochs',
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
      "the memory bank of MoCo's comparison (arXiv:1911.05722, section 4.1): InfoNCE with " +
      '65536 negatives',
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
      "Instance Discrimination on CIFAR-10 (lemniscate.pytorch's cifar.py): NCE with 4096 " +
      'negatives, T 0.1, SGD 0.03, batch 128, 200 epochs',
    size: 32,
    // Source: cifar.py at f7cfe29, its last version: rate 0.03, divided by 10 at epochs 120 and 160
    // of 200. The first version (06c2d49) has rate 0.1 and no decay.
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
      'ResNet-8 on 1000 of the built-in images, for a CPU: InfoNCE with 256 negatives, T ' +
      '0.2, Adam 1e-3, 40 epochs',
    size: 32,
    subset: 1000, // a slot is one epoch old when used, so a short run needs short epochs
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

/** The memory bank in the registry. */
export const memoryBankEntry = entry<MemoryBankSettings>({
  ...towerMethod,
  ...presetsBy('memory-bank-demo', 'memory-bank-cifar10'),
  name: 'memory-bank',
  title: 'Memory bank',
  about:
    'Instance Discrimination (Wu et al. 2018): a bank keeps one feature per image; others repel',
  presets: memoryBankPresets,
  compared: () => false,
  perImage: true,
  rules: {
    ...towerRules,
    head: mocoHeadRule,
    negatives: integer(1),
    loss: wordOf('infonce', 'nce'),
    momentum: fraction,
  },
  flags: [
    ...towerMethod.flags,
    option('--negatives <n>', 'negatives', 'count', 'features drawn from the bank for each batch'),
    option('--loss <kind>', 'loss', 'word', 'infonce, or nce (as the paper)'),
    option(
      '--momentum <m>',
      'momentum',
      'share',
      "share of an image's old feature that an update of the bank keeps",
    ),
  ],
  filling: (_, stepsPerEpoch) => stepsPerEpoch,
  rows: ({ negatives, head: { dim } }, images) => [
    { what: '--negatives', rows: negatives, dim, remedy: (most) => `give ${most} or fewer` },
    {
      what: 'memory bank of one slot per image',
      rows: images,
      dim,
      remedy: (most) => `give --subset ${most} or less`,
    },
  ],
  build(gpu, settings, extent) {
    const tower = towerOf(gpu, settings)
    const optimizer = optimizerOf(settings, parametersOf(tower))
    const { negatives, momentum, loss, seed } = settings
    const bank = new MemoryBank(gpu, { n: extent.images.size, C: tower.head.features, seed })
    const options = { ...stepOptions(settings, extent), negatives, momentum, loss }
    const trainer = memoryBank(gpu, { ...tower, ...options, bank, optimizer })
    const kept = {
      ...nothing,
      variables: { 'bank.rows': bank.rows, 'bank.logZ': bank.logZ },
      resized: {
        'bank.rows': (was: number, is: number) =>
          `its memory bank is of ${was} images, the data set has ${is}; a bank belongs to ` +
          'its data set, start a new run',
      },
    }
    return { ...trainer, optimizer, schedule: options.schedule, kept }
  },
})
