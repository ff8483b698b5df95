// Prepares a training from a configuration and images: the method with its networks, the batches,
// and the kNN measurement.

import type { Dataset, Split } from '../data/dataset.ts'
import { isLabelled, subset } from '../data/select.ts'
import { countSteps } from '../data/loader.ts'
import type { Gpu } from '../engine/gpu.ts'
import { LossScaler } from '../engine/optim/loss-scaler.ts'
import type { Extent, Trainer } from '../methods/entry.ts'
import { methodOf } from '../methods/registry.ts'
import { recipeOf } from '../methods/views.ts'
import { drawnAhead } from '../models/drawn-ahead.ts'
import type { Model } from '../models/model.ts'
import { forwardTower } from '../models/tower.ts'
import type { RunConfig, TrainConfig } from './run-schema.ts'
import { type Feed, type Resident, openFeed } from './feed.ts'
import { KnnProbe } from './knn.ts'
import { SphereMeter } from './sphere.ts'

/** Everything that a training needs besides its storage. */
export interface Prepared {
  readonly gpu: Gpu
  readonly config: TrainConfig
  /** Both halves of the data set. */
  readonly data: Split
  /** Training images, the subset if there is one. */
  readonly images: Dataset
  readonly feed: Feed
  readonly trainer: Trainer
  readonly stepsPerEpoch: number
  /** Measures kNN accuracy; null if the set has no labels or no test images. */
  readonly probe: KnnProbe | null
  /** Measures how features lie on the unit sphere, collapse included. */
  readonly meter: SphereMeter
  readonly evaluate?: Evaluate | undefined
}

/** Measures an encoder in training. Resolves to numbers by name, which the metrics hold beside the
 *  kNN accuracy. */
export type Evaluate = (at: {
  readonly step: number
  readonly epoch: number
  readonly encoder: Model
  readonly head: Model
  /** Asks to end the measurement: it may reject with the signal's reason. */
  readonly signal?: AbortSignal
}) => Promise<Readonly<Record<string, number>>>

/** Options of a training that change none of its numbers. */
export interface Manner {
  /** False runs steps one by one instead of replaying them. */
  readonly capture?: boolean | undefined
  /** Keeps the training images on the GPU: always, never, or if they fit. */
  readonly resident?: Resident | undefined
  /** Measures the encoder in another way, whenever kNN accuracy is due. */
  readonly evaluate?: Evaluate | undefined
}

/** Returns the images that a configuration trains on. */
export const trainingImages = (
  { subset: count, seed }: Pick<RunConfig, 'subset' | 'seed'>,
  { train }: Pick<Split, 'train'>,
): Dataset => (count === null ? train : subset(train, count, seed))

/** Builds the method and checks it against the images. Writes nothing. Throws Error in words. */
export async function prepare(
  gpu: Gpu,
  config: TrainConfig,
  data: Split,
  { capture = true, resident = 'auto', evaluate }: Manner = {},
): Promise<Prepared> {
  const images = trainingImages(config, data)
  const stepsPerEpoch = countSteps(images, { batch: config.batch })
  const make = () => trainerOf(gpu, config, { stepsPerEpoch, images, capture })
  const trainer = gpu.budget === null ? make() : await drawnAhead(gpu, make) // beside a page
  const probe = probeOf(gpu, config, images, data.test)
  const meter = new SphereMeter(gpu, config, { train: images, test: data.test })
  const feed = await openFeed(gpu, images, resident)
  return { gpu, config, data, images, feed, trainer, stepsPerEpoch, probe, meter, evaluate }
}

/** Builds the method at step 0. Scales its loss where products or images are in f16, since small
 *  gradients lose digits in its range. A checkpoint holds the scale too. */
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

/** Makes the kNN measurement, null if the set has no labels or no test images. */
const probeOf = (
  gpu: Gpu,
  { views, knn }: TrainConfig,
  train: Dataset,
  test: Dataset,
): KnnProbe | null =>
  isLabelled(train) && isLabelled(test)
    ? new KnnProbe(gpu, { train, test }, recipeOf(views, 0), knn)
    : null

/** Returns the model whose output kNN compares: the encoder, or the encoder with its head. */
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
