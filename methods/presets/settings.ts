// What the settings of every method's presets have in common: plain data, as a run folder's
// config.json holds it.

import type { Recipe } from '../../kernels/augment/recipes.ts'

/** Everything about a run but its method's own settings, its data, its length and its seed. */
export interface Settings {
  readonly model: {
    readonly name: 'resnet8' | 'resnet18' | 'resnet34' | 'resnet50'
    readonly stem: 'cifar' | 'imagenet'
    readonly width: number
    readonly zeroInitResidual: boolean
  }
  /** One recipe for all views, or one for each of the two. */
  readonly views: Recipe | readonly [Recipe, Recipe]
  readonly temperature: number
  readonly optimizer: {
    readonly name: 'adam' | 'lars' | 'sgd'
    readonly weightDecay: number
  }
  /** `lr` is the rate that is used, already scaled by the batch; warm-up and decay are in epochs.
   *  'step' multiplies by 0.1 after 0.6 and 0.8 of the epochs; 'cosine-by-epoch' stays the same
   *  within an epoch, of which the first is `firstEpoch`. */
  readonly schedule: {
    readonly name: 'constant' | 'cosine' | 'cosine-by-epoch' | 'step'
    readonly lr: number
    readonly warmupEpochs: number
    readonly firstEpoch?: 0 | 1
  }
  readonly batch: number
  /** Images encoded at a time; a batch at once where there is none. */
  readonly chunk?: number | null
  readonly epochs: number
  /** kNN: the vote's temperature, and whose output is compared: the encoder's (the default) or the
   *  head's. */
  readonly knn: { readonly temperature: number; readonly layer?: 'features' | 'embedding' }
}

/** Named settings of a published run. */
export interface PresetOf<S> {
  /** One line for lists: what it is and where it comes from. */
  readonly about: string
  /** Image size the preset is made for, in pixels. */
  readonly size: number
  /** How many of the built-in images it is made for, unless all of them. */
  readonly subset?: number
  readonly settings: (size: number, batch?: number) => S
}
