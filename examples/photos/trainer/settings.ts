// From the user's choice to the configuration of a training.

import { type TrainConfig, configOf } from 'kindred'
import type { Choice, Network } from '../common/api.ts'

const networks: Readonly<Record<Network, { readonly model: string; readonly width: number }>> = {
  small: { model: 'resnet8', width: 16 },
  medium: { model: 'resnet18', width: 32 },
  large: { model: 'resnet18', width: 64 },
}

const presets = { simclr: 'simclr-demo', moco: 'moco-v2-demo' } as const

/** Fewest pictures: each is compared with the others of its batch. */
export const FEWEST = 8

const LOOKS = 40 // times that the features are measured in a training

/** Makes the configuration for so many pictures. Throws Error in words for too few. */
export function configFor(
  { method, network, width, side, steps, batch, seed }: Choice,
  pictures: number,
): TrainConfig {
  if (pictures < FEWEST) throw new Error(tooFew(pictures))
  const own = networks[network]
  const common = { preset: presets[method], data: 'photos', size: side, images: pictures, seed }
  const chosen = batch === undefined ? {} : batchOf(method, Math.min(batch, pictures))
  const size = configOf(method, { ...common, ...chosen }).batch
  const perEpoch = Math.max(1, Math.floor(pictures / size))
  const epochs = Math.max(1, Math.ceil(steps / perEpoch))
  return configOf(method, {
    ...common,
    model: own.model,
    width: width ?? own.width,
    ...chosen,
    epochs,
    knnEvery: Math.max(1, Math.ceil(epochs / LOOKS)),
    checkpointEvery: perEpoch > 50 ? 50 : 0,
    knnBank: 2000,
    knnQueries: 1000,
  })
}

/** A batch of that size, which MoCo's batch norm divides into up to 8 groups. */
const batchOf = (method: Choice['method'], batch: number) =>
  method === 'moco'
    ? { batch, bnSplits: [8, 4, 2].find((n) => batch % n === 0 && batch >= 2 * n) ?? 1 }
    : { batch }

/** Says why so few pictures cannot be trained on. */
export const tooFew = (pictures: number): string =>
  pictures === 0
    ? 'There are no pictures to train on. Add at least 8; a few hundred make it interesting.'
    : `Contrastive training tells pictures apart, so ${pictures === 1 ? 'one picture is' : `${pictures} pictures are`} too few. ` +
      `Add pictures until there are at least ${FEWEST}; a few hundred make it interesting.`
