// From a configuration and images to what trains: the method with its networks, the batches, and
// what measures accuracy.

import type { Dataset, Split } from '../data/dataset.ts'
import { isLabelled, subset } from '../data/select.ts'
import { countSteps } from '../data/loader.ts'
import type { Gpu } from '../engine/gpu.ts'
import { LossScaler } from '../engine/optim/loss-scaler.ts'
import type { Extent, Trainer } from '../methods/entry.ts'
import { methodOf } from '../methods/registry.ts'
import { recipeOf } from '../methods/views.ts'
import type { Model } from '../models/model.ts'
import { forwardTower } from '../models/tower.ts'
import type { RunConfig, TrainConfig } from './run-schema.ts'
import { type Feed, type Resident, openFeed } from './feed.ts'
import { KnnProbe } from './knn.ts'

/** All that a training needs beside a place to keep it. */
export interface Prepared {
  readonly gpu: Gpu
  readonly config: TrainConfig
  /** What was read. */
  readonly data: Split
  /** The images of it that are trained on. */
  readonly images: Dataset
  readonly feed: Feed
  readonly trainer: Trainer
  readonly stepsPerEpoch: number
  /** Measures kNN accuracy; null when the set has no labels or no test images. */
  readonly probe: KnnProbe | null
  readonly evaluate?: Evaluate | undefined
}

/** Measures an encoder in training, and returns numbers by name, which are kept beside the kNN
 *  accuracy. */
export type Evaluate = (at: {
  readonly step: number
  readonly epoch: number
  readonly encoder: Model
  readonly head: Model
}) => Promise<Readonly<Record<string, number>>>

/** How a training runs; its numbers are the same, but for those that `evaluate` adds. */
export interface Manner {
  /** False runs steps one by one instead of replaying them. */
  readonly capture?: boolean | undefined
  /** Whether the training images lie on the GPU. */
  readonly resident?: Resident | undefined
  /** Measures the encoder by another yardstick whenever kNN accuracy is due. */
  readonly evaluate?: Evaluate | undefined
}

/** The images that a configuration trains on. */
export const trainingImages = (
  { subset: count, seed }: Pick<RunConfig, 'subset' | 'seed'>,
  { train }: Pick<Split, 'train'>,
): Dataset => (count === null ? train : subset(train, count, seed))

/** Builds the method and checks it against the images. Nothing is written. Throws Error in
 *  words. */
export async function prepare(
  gpu: Gpu,
  config: TrainConfig,
  data: Split,
  { capture = true, resident = 'auto', evaluate }: Manner = {},
): Promise<Prepared> {
  const images = trainingImages(config, data)
  const stepsPerEpoch = countSteps(images, { batch: config.batch })
  const trainer = trainerOf(gpu, config, { stepsPerEpoch, images, capture })
  const probe = probeOf(gpu, config, images, data.test)
  const feed = await openFeed(gpu, images, resident)
  return { gpu, config, data, images, feed, trainer, stepsPerEpoch, probe, evaluate }
}

/** The method at step 0. Where products or images have the range of f16, in which small gradients
 *  lose digits, its loss is scaled, and the scale is saved with the rest. */
export function trainerOf(gpu: Gpu, config: TrainConfig, extent: Extent): Trainer {
  const method = methodOf(config.method)
  const { precision, activations } = gpu.run
  if (precision === 'f32' && activations === 'f32') return method.build(gpu, config, extent)
  const scaler = new LossScaler(gpu)
  const { kept, ...trainer } = method.build(gpu, config, { ...extent, scaler })
  const scales = Object.entries(scaler.state).map(
    ([role, variable]) => [`scaler.${role}`, variable] as const,
  )
  const variables = { ...kept.variables, ...Object.fromEntries(scales) }
  return { ...trainer, kept: { ...kept, variables } }
}

/** Measures kNN accuracy; null when the set has no labels or no test images. */
const probeOf = (
  gpu: Gpu,
  { views, knn }: TrainConfig,
  train: Dataset,
  test: Dataset,
): KnnProbe | null =>
  isLabelled(train) && isLabelled(test)
    ? new KnnProbe(gpu, { train, test }, recipeOf(views, 0), knn)
    : null

/** The model whose output kNN compares: the encoder, or the encoder with its head. */
export const measuredModel = (
  { knn }: Pick<TrainConfig, 'knn'>,
  { encoder, head }: { readonly encoder: Model; readonly head: Model | null },
): Model =>
  head && knn.layer === 'embedding'
    ? {
        ...encoder,
        features: head.features,
        forward: (x, mode) => forwardTower({ encoder, head }, x, mode),
      }
    : encoder
