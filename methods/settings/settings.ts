// The settings of every method, as plain data for config.json, and their rules.

import * as v from 'valibot'
import type { Recipe } from '../../kernels/augment/recipes.ts'
import { recipe } from './recipe.ts'
import { wordOf, integer, integerOrNull } from './rules.ts'

/** Settings of every method. */
export interface MethodSettings {
  readonly model: { readonly name: string; readonly width?: number }
  /** One recipe for all views, or one for each of the two. */
  readonly views: Recipe | readonly [Recipe, Recipe]
  readonly optimizer: { readonly name: string; readonly weightDecay: number }
  /** `lr` is the highest rate, scaled by the batch already. */
  readonly schedule: { readonly name: string; readonly lr: number; readonly firstEpoch?: 0 | 1 }
  readonly batch: number
  /** Images encoded at a time; null or absent for the whole batch. */
  readonly chunk?: number | null
  readonly epochs: number
  /** kNN measurement: the temperature of the vote, and the output that is compared, the encoder's
   *  (by default) or the head's. */
  readonly knn: { readonly temperature: number; readonly layer?: 'features' | 'embedding' }
}

/** Named settings of a published run. */
export interface PresetOf<S> {
  /** Description and source, for lists. */
  readonly about: string
  /** Side in pixels of the preset's images. */
  readonly size: number
  /** Number of built-in images; absent for all. */
  readonly subset?: number
  /** Makes the settings for images of `size` pixels. */
  readonly settings: (size: number, batch?: number) => S
}

/** Rules of a method's settings, one per field. */
export type SettingRules = v.ObjectEntries

/** Rules of the length and the batch of a training. */
export const lengthRules = {
  batch: integer(2),
  chunk: v.exactOptional(integerOrNull(1)),
  epochs: integer(1),
}

/** The rule of `views`: one recipe for all views, or one for each of the two. */
export const viewsRule = v.lazy(
  (input): v.GenericSchema<unknown, Recipe | readonly [Recipe, Recipe]> =>
    Array.isArray(input) ? v.strictTuple([recipe, recipe], 'a recipe, or a list of two') : recipe,
)

/** The rule of `knn.layer`: the encoder's output or the head's. */
export const layerRule = v.exactOptional(wordOf('features', 'embedding'))
