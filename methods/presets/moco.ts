// MoCo in the registry: its presets, rules and options.

import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import { entry } from '../entry.ts'
import { fittingSplits, wrongSplits } from '../settings/batch.ts'
import { option } from '../settings/flags.ts'
import { anyMocoHeadRule } from '../settings/heads.ts'
import { fields, bool, fraction, integer, integerOrNull } from '../settings/rules.ts'
import type { PresetOf } from '../settings/settings.ts'
import { buildQueue, buildV3 } from './moco-build.ts'
import {
  type MocoSettings,
  cifar10,
  demo,
  imagenet,
  mlpHead,
  resnetOf,
  plain,
  slowly,
  v3,
} from './moco-papers.ts'
import { mocoV2Recipe, mocoV3Recipes } from './moco-recipes.ts'
import { presetsBy, towerMethod, towerRules } from './tower.ts'

/** MoCo's presets by name. */
export const mocoPresets: Readonly<Record<string, PresetOf<MocoSettings>>> = {
  'moco-v1': {
    about:
      'MoCo v1 on ImageNet (arXiv:1911.05722): linear head, K 65536, m 0.999, T 0.07, SGD ' +
      '0.03, 200 epochs',
    size: 224,
    settings: imagenet,
  },
  'moco-v2': {
    about: 'MoCo v2 on ImageNet (arXiv:2003.04297): MLP head, T 0.2, blur, cosine; the rest as v1',
    size: 224,
    settings: (size, batch = 256) => ({
      ...imagenet(size, batch),
      head: mlpHead,
      views: mocoV2Recipe(size),
      temperature: 0.2,
      schedule: { name: 'cosine-by-epoch', lr: (0.03 * batch) / 256, warmupEpochs: 0 },
    }),
  },
  'moco-v3': {
    about:
      'MoCo v3, ResNet-50 on ImageNet (arXiv:2104.02057): no queue, predictor, T 1, m 0.99 ' +
      'to 1, LARS 0.6 x batch/256, 100 epochs',
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
      "facebookresearch/moco's CIFAR-10 demo: K 4096, m 0.99, T 0.1, 8 splits, SGD 0.06, " +
      'batch 512, 200 epochs (--symmetric for its other row)',
    size: 32,
    settings: cifar10,
  },
  'moco-v2-cifar10': {
    about: "the CIFAR-10 demo with v2's MLP head and temperature 0.2; no published run",
    size: 32,
    settings: (size, batch) => ({ ...cifar10(size, batch), head: mlpHead, temperature: 0.2 }),
  },
  'moco-v3-cifar10': {
    about:
      'MoCo v3 for CIFAR-10 as solo-learn sets it: ResNet-18, T 0.2, m 0.99 to 1, LARS 0.3 ' +
      'x batch/256, batch 256, 1000 epochs',
    size: 32,
    settings: (size, batch = 256) => ({
      ...v3(size, batch),
      model: resnetOf('resnet18', size),
      views: cifarRecipe(size),
      temperature: 0.2,
      schedule: { name: 'cosine', lr: (0.3 * batch) / 256, warmupEpochs: 10 },
      epochs: 1000,
    }),
  },
  'moco-v1-demo': {
    about:
      'ResNet-8 on the built-in images, for a CPU: linear head, K 256, m 0.99, T 0.2, Adam ' +
      '5e-4, batch 64, 5 epochs',
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

/** MoCo in the registry: v1, v2, and v3, whose queue is null. */
export const mocoEntry = entry<MocoSettings>({
  ...towerMethod,
  ...presetsBy('moco-v2-demo', 'moco-v1-cifar10'),
  name: 'moco',
  title: 'MoCo',
  about:
    'MoCo (He et al. 2020): keys of earlier batches, in a queue, repel; a second encoder follows',
  presets: mocoPresets,
  rules: {
    ...towerRules,
    head: anyMocoHeadRule,
    queue: integerOrNull(1),
    momentum: fields({ start: fraction, rising: bool }),
    symmetric: bool,
    bnSplits: integer(1),
    shuffle: bool,
  },
  check({ queue, head, ...settings }, name) {
    if ((queue === null) === (head.style === 'v3')) return wrongSplits(settings, name)
    const rule = `must be ${queue === null ? 'a number' : 'null'} with head.style ${head.style}`
    return { setting: 'queue', reason: `${rule}, got ${queue}` }
  },
  compared: ({ queue }) => queue === null,
  flags: [
    ...towerMethod.flags,
    option(
      '--queue <keys>',
      'queue',
      'count',
      'keys in the queue, the negatives of each query (not v3)',
    ),
    option(
      '--momentum <m>',
      'momentum.start',
      'share',
      'share of the old key encoder that a step keeps: 0.999 on ImageNet, less for short runs',
    ),
    option(
      '--symmetric',
      'symmetric',
      'switch',
      'both views are queries and keys: twice the work of a step (not v3)',
    ),
    option(
      '--bn-splits <n>',
      'bnSplits',
      'count',
      'batch norm over n groups of the batch, as over n GPUs (not v3)',
    ),
    option(
      '--no-shuffle',
      'shuffle',
      'switch',
      'do not shuffle the keys before batch norm splits them: the keys then leak',
    ),
  ],
  settle(settings, given) {
    const { queue, shuffle, bnSplits, batch } = settings
    const ofQueue = {
      '--queue': given['queue'],
      '--bn-splits': given['bnSplits'],
      '--symmetric': given['symmetric'],
      '--no-shuffle': given['shuffle'],
    }
    const unused = Object.entries(ofQueue).find(([, value]) => value !== undefined)
    if (settings.head.style === 'v3' && unused)
      throw new RangeError(
        `${unused[0]}: MoCo v3 has no queue, its loss is symmetric and its batch norm over ` +
          'the batch',
      )
    const isGiven = given['bnSplits'] !== undefined || given['batch'] !== undefined
    const splits = isGiven ? bnSplits : fittingSplits(bnSplits, batch)
    return { ...settings, queue, bnSplits: splits, shuffle: shuffle && splits > 1 }
  },
  filling: ({ queue, batch, symmetric }) =>
    queue === null ? 0 : Math.ceil(queue / (batch * (symmetric ? 2 : 1))),
  rows: ({ queue, head: { dim } }) =>
    queue === null
      ? []
      : [{ what: '--queue', rows: queue, dim, remedy: (most) => `give ${most} keys or fewer` }],
  notes: ({ queue }, images) =>
    queue !== null && queue > images
      ? [
          {
            text:
              `the queue's ${queue} keys are more than the ${images} images: old keys of a ` +
              "query's own image are among its negatives",
            remedy: 'a smaller --queue avoids that',
          },
        ]
      : [],
  build: (gpu, settings, extent) =>
    settings.queue === null
      ? buildV3(gpu, settings, extent)
      : buildQueue(gpu, settings, extent, settings.queue),
})
