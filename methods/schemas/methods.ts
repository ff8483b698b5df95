// The settings of each method as data: every field with its rule. The source for whatever reads
// settings that a person wrote.

import * as v from 'valibot'
import type { AmdimSettings } from '../presets/amdim.ts'
import type { EndToEndSettings, MemoryBankSettings } from '../presets/mechanisms.ts'
import type { MocoSettings } from '../presets/moco.ts'
import type { SimclrSettings } from '../presets/simclr.ts'
import { recipe, views } from './recipe.ts'
import {
  belowOne,
  divisor,
  fields,
  flag,
  notNegative,
  oneOf,
  positive,
  share,
  whole,
  wholeOrNull,
} from './rules.ts'

/** The most channels of an encoder's first stage: of ResNet's last stage there are 32 times as
 * many. */
export const MOST_CHANNELS = 2048

/** The largest size of AMDIM's features: layers have the square of it in weights. */
export const MOST_FEATURES = 16_384

const learning = {
  batch: whole(2),
  chunk: v.exactOptional(wholeOrNull(1)),
  epochs: whole(1),
}

/** What the methods besides AMDIM have in common. */
const common = {
  model: fields({
    name: oneOf('resnet8', 'resnet18', 'resnet34', 'resnet50'),
    stem: oneOf('cifar', 'imagenet'),
    width: whole(1, MOST_CHANNELS),
    zeroInitResidual: flag,
  }),
  views,
  temperature: positive,
  optimizer: fields({ name: oneOf('adam', 'lars', 'sgd'), weightDecay: notNegative }),
  schedule: fields({
    name: oneOf('constant', 'cosine', 'cosine-by-epoch', 'step'),
    lr: positive,
    warmupEpochs: notNegative,
    firstEpoch: v.exactOptional(oneOf(0, 1)),
  }),
  ...learning,
}

const dim = whole(1, MOST_FEATURES)
const plainHead = fields({ style: oneOf('linear', 'mlp'), dim })

const simclr = {
  ...common,
  views: recipe,
  head: fields({ style: oneOf('leftthomas', 'paper'), hidden: dim, dim }),
  batchNorm: oneOf('per-view', 'joint'),
}

const moco = {
  ...common,
  head: v.variant(
    'style',
    [plainHead, fields({ style: oneOf('v3'), hidden: dim, dim })],
    'an object',
  ),
  queue: wholeOrNull(1),
  momentum: fields({ start: share, rising: flag }),
  symmetric: flag,
  bnSplits: whole(1),
  shuffle: flag,
}

const memoryBank = {
  ...common,
  head: plainHead,
  negatives: whole(1),
  loss: oneOf('infonce', 'nce'),
  momentum: share,
}

const endToEnd = { ...common, head: plainHead }

const milestones = v.array(notNegative, 'a list of epochs')
const betas = v.strictTuple([belowOne, belowOne], 'two numbers')

const amdim = {
  model: fields({
    name: oneOf('amdim'),
    width: whole(1, MOST_CHANNELS),
    features: whole(1, MOST_FEATURES),
    depth: whole(1),
    batchNorm: flag,
  }),
  classifiers: fields({ hidden: dim, dropout: belowOne }),
  views: recipe,
  clip: divisor,
  penalty: notNegative,
  optimizer: fields({ name: oneOf('adam'), betas, weightDecay: notNegative }),
  schedule: fields({
    name: oneOf('step'),
    lr: positive,
    warmupSteps: whole(0),
    milestones,
    gamma: positive,
  }),
  ...learning,
  evaluation: fields({ epochs: whole(1), milestones }),
}

/** The fields of each method's settings, but those of its kNN measurements, which a run has more
 * of. */
export const settingsOf = { simclr, moco, 'memory-bank': memoryBank, 'end-to-end': endToEnd, amdim }

type Read<E extends v.ObjectEntries> = v.InferOutput<v.StrictObjectSchema<E, string>>
type Without<T> = Omit<T, 'knn'>

// The schemas and the presets' types say the same.
true satisfies Read<typeof simclr> extends Without<SimclrSettings> ? true : false
true satisfies Read<typeof moco> extends Without<MocoSettings> ? true : false
true satisfies Read<typeof memoryBank> extends Without<MemoryBankSettings> ? true : false
true satisfies Read<typeof endToEnd> extends Without<EndToEndSettings> ? true : false
true satisfies Read<typeof amdim> extends Without<AmdimSettings> ? true : false
