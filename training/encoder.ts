// The encoder of a checkpoint: its networks as evaluation measures them, on any Gpu, any number of
// times, and the transform of its images.

import { type Recipe, testSide, testTransform } from '../kernels/augment/recipes.ts'
import type { Precision } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { methodOf } from '../methods/registry.ts'
import { recipeOf } from '../methods/views.ts'
import type { Model } from '../models/model.ts'
import { loadModel } from '../models/state.ts'
import { measuredModel } from './prepare.ts'
import type { TrainConfig } from './run-schema.ts'
import type { Checkpoint } from './storage.ts'

/** Output that is compared: the encoder's features, or the head's embedding. */
export type EncoderLayer = 'features' | 'embedding'

/** An encoder with its weights on the host. It can be made on any Gpu, and made again. */
export interface SavedEncoder {
  /** Name for messages: the path of its file. */
  readonly name: string
  /** Makes the encoder on a Gpu and loads its weights. Throws Error that names a tensor that does
   *  not fit. */
  readonly build: (gpu: Gpu) => Model | Promise<Model>
  /** What is done to its images, without anything random: size, crop, normalisation. */
  readonly transform: Recipe
  /** Height and width of the squares that files are decoded to, in pixels. */
  readonly side: number
  /** Arithmetic that the encoder was trained in; f32 by default. */
  readonly precision?: Precision
}

/** The networks of a configuration with initial weights, and what overwrites these. */
export interface Networks {
  readonly model: Model
  /** Loads a checkpoint's weights. Throws Error that names the file and a tensor that does not
   *  fit. */
  readonly load: (saved: Pick<Checkpoint, 'tensors' | 'path'>) => void
}

/** Makes the networks whose output evaluation compares: the encoder, or the encoder with its head.
 *  By default `knn.layer` of the configuration chooses. */
export function networksOf(
  gpu: Gpu,
  config: TrainConfig,
  layer: EncoderLayer = config.knn.layer ?? 'features',
): Networks {
  const method = methodOf(config.method)
  const encoder = method.encoder(gpu, config)
  const head = layer === 'embedding' ? method.head(gpu, config, encoder.features) : null
  return {
    model: measuredModel({ knn: { ...config.knn, layer } }, { encoder, head }),
    load({ tensors, path }) {
      loadModel(gpu, encoder, tensors, path)
      if (head) loadModel(gpu, head, tensors, path)
    },
  }
}

/** Returns the encoder of a configuration with the weights of a checkpoint. */
export const savedEncoderOf = (
  config: TrainConfig,
  saved: Pick<Checkpoint, 'tensors' | 'path'>,
  layer?: EncoderLayer,
): SavedEncoder => ({
  name: saved.path,
  build(gpu) {
    const { model, load } = networksOf(gpu, config, layer)
    load(saved)
    return model
  },
  transform: testTransform(recipeOf(config.views, 0)),
  side: testSide(config.size),
  precision: config.precision,
})
