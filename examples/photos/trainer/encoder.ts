// The encoder of a training, beside the one that trains: as it was before, or from a checkpoint.

import {
  type Checkpoint,
  type Gpu,
  type Model,
  type Recipe,
  type TrainConfig,
  loadModel,
  resnet18,
  resnet8,
  testTransform,
} from 'kindred'

/** Makes the encoder with the weights that its training began with. */
export function untrained(gpu: Gpu, config: TrainConfig): Model {
  const { model, seed } = config as TrainConfig & { readonly model: EncoderChoice }
  const make = model.name === 'resnet8' ? resnet8 : resnet18
  const { stem, width, zeroInitResidual } = model
  return make(gpu, { seed, stem, width, zeroInitResidual })
}

/** What `configOf` says of the encoder. */
interface EncoderChoice {
  readonly name: string
  readonly stem: 'cifar' | 'imagenet'
  readonly width: number
  readonly zeroInitResidual: boolean
}

/** Makes the encoder with the weights of a checkpoint. */
export function trained(
  gpu: Gpu,
  config: TrainConfig,
  { tensors }: Pick<Checkpoint, 'tensors'>,
): Model {
  const model = untrained(gpu, config)
  loadModel(gpu, model, tensors)
  return model
}

/** The recipe of a view. */
export function recipeFor({ views }: TrainConfig, view: 0 | 1): Recipe {
  const both: unknown = views
  const isPair = (given: unknown): given is readonly [Recipe, Recipe] => Array.isArray(given)
  return isPair(both) ? both[view] : (both as Recipe) // one recipe for both
}

/** What is done to a picture before it is encoded without anything random. */
export const stillOf = (config: TrainConfig): Recipe => testTransform(recipeFor(config, 0))
