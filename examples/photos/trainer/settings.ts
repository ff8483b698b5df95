// From the user's choice to the configuration of a training.

import { type TrainConfig, configOf } from 'kindred'
import type { Choice, Network } from '../common/api.ts'
import { whyTooFew } from '../common/fewest.ts'

const networks: Readonly<Record<Network, { readonly model: string; readonly width: number }>> = {
  small: { model: 'resnet8', width: 16 },
  medium: { model: 'resnet18', width: 32 },
  large: { model: 'resnet18', width: 64 },
}

const presets = { simclr: 'simclr-demo', moco: 'moco-v2-demo' } as const

const LOOKS = 40 // times that the features are measured in a training at most

/** Makes the configuration for so many pictures. Throws Error in words for too few. */
export function configFor(
  { method, network, width, side, steps, batch, looks = LOOKS, seed }: Choice,
  pictures: number,
): TrainConfig {
  const problem = whyTooFew(pictures)
  if (problem !== null) throw new Error(problem)
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
    knnEvery: Math.max(1, Math.ceil(epochs / looks)),
    checkpointEvery: perEpoch > 50 ? 50 : 0,
    knnBank: 2000,
    knnQueries: 1000,
    probe: 'off',
  })
}

/** Returns the number of steps of a training on so many pictures. */
export const stepsOf = (
  { epochs, batch }: Pick<TrainConfig, 'epochs' | 'batch'>,
  pictures: number,
): number => epochs * Math.floor(pictures / batch)

/** A batch of that size, which MoCo's batch norm divides into up to 8 groups. */
const batchOf = (method: Choice['method'], batch: number) =>
  method === 'moco'
    ? { batch, bnSplits: [8, 4, 2].find((n) => batch % n === 0 && batch >= 2 * n) ?? 1 }
    : { batch }
