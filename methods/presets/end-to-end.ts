// The end-to-end mechanism in the registry. Its presets are MoCo's without the queue.

import { parametersOf } from '../../models/parts.ts'
import { endToEnd } from '../end-to-end.ts'
import { entry, nothing } from '../entry.ts'
import { type MocoHead, mocoHeadRule } from '../settings/heads.ts'
import { optimizerOf } from '../settings/optimizers.ts'
import type { PresetOf } from '../settings/settings.ts'
import { cifar10, demo, imagenet, withoutMoco } from './moco-papers.ts'
import {
  type TowerSettings,
  presetsBy,
  stepOptions,
  towerMethod,
  towerOf,
  towerRules,
} from './tower.ts'

/** Settings of the end-to-end mechanism. */
export interface EndToEndSettings extends TowerSettings {
  readonly head: MocoHead
}

/** End-to-end presets by name. */
export const endToEndPresets: Readonly<Record<string, PresetOf<EndToEndSettings>>> = {
  'end-to-end-imagenet': {
    about:
      "the end-to-end mechanism of MoCo's comparison (arXiv:1911.05722, section 4.1): " +
      'batch 1024, SGD 0.03 x batch/256',
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

/** End-to-end training in the registry. */
export const endToEndEntry = entry<EndToEndSettings>({
  ...towerMethod,
  ...presetsBy('end-to-end-demo', 'end-to-end-cifar10'),
  name: 'end-to-end',
  title: 'End-to-end',
  about:
    "the end-to-end mechanism of MoCo's comparison: the batch's other keys repel, and have " +
    'a gradient',
  presets: endToEndPresets,
  rules: { ...towerRules, head: mocoHeadRule },
  build(gpu, settings, extent) {
    const [query, key] = [towerOf(gpu, settings), towerOf(gpu, settings)]
    const keys = Object.entries(parametersOf(key)).map(
      ([name, value]) => [`key.${name}`, value] as const,
    )
    const optimizer = optimizerOf(settings, { ...parametersOf(query), ...Object.fromEntries(keys) })
    const options = stepOptions(settings, extent)
    const trainer = endToEnd(gpu, { query, key, optimizer, ...options })
    const kept = { ...nothing, models: { 'key.': key.encoder, 'key.head.': key.head } }
    return { ...trainer, optimizer, schedule: options.schedule, kept }
  },
})
