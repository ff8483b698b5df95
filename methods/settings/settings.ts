// The settings that every method has: plain data, as a run folder's config.json holds it, and the
// rules that they obey.

import * as v from 'valibot'
import type { Recipe } from '../../kernels/augment/recipes.ts'
import { recipe } from './recipe.ts'
import { wordOf, integer, integerOrNull } from './rules.ts'

/** The settings of a training that every method has. */
export interface MethodSettings {
  readonly model: { readonly name: string; readonly width: number }
  /** One recipe for all views, or one for each of the two. */
  readonly views: Recipe | readonly [Recipe, Recipe]
  readonly optimizer: { readonly name: string; readonly weightDecay: number }
  /** `lr` is the rate that is used, already scaled by the batch. */
  readonly schedule: { readonly name: string; readonly lr: number; readonly firstEpoch?: 0 | 1 }
  readonly batch: number
  /** Images that are encoded at a time; null or absent for the whole batch. */
  readonly chunk?: number | null
  readonly epochs: number
  /** kNN: the vote's temperature, and whether the encoder's output (the default) or the head's is
   *  compared. */
  readonly knn: { readonly temperature: number; readonly layer?: 'features' | 'embedding' }
}

/** Named settings of a published run. */
export interface PresetOf<S> {
  /** One line for lists: what it is and where it comes from. */
  readonly about: string
  /** Side of the images that the preset is made for, in pixels. */
  readonly size: number
  /** Number of built-in images that it is made for; absent for all of them. */
  readonly subset?: number
  readonly settings: (size: number, batch?: number) => S
}

/** Rules of a method's settings, one for each field. */
export type SettingRules = v.ObjectEntries

/** Rules of the fields that a training's length and batch have. */
export const lengthRules = {
  batch: integer(2),
  chunk: v.exactOptional(integerOrNull(1)),
  epochs: integer(1),
}

/** One recipe for all views, or one for each of the two. */
export const viewsRule = v.lazy(
  (input): v.GenericSchema<unknown, Recipe | readonly [Recipe, Recipe]> =>
    Array.isArray(input) ? v.strictTuple([recipe, recipe], 'a recipe, or a list of two') : recipe,
)

/** The rule of a kNN measurement's layer: the encoder's output or the head's. */
export const layerRule = v.exactOptional(wordOf('features', 'embedding'))
