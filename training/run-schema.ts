// A configuration as data: the fields that every training has, each with its rule, and those of its
// method.

import * as v from 'valibot'
import type { Activations, Precision } from '../kernels/op.ts'
import type { Method } from '../methods/entry.ts'
import {
  fields,
  wordOf,
  positiveNumber,
  anyText,
  integer,
  integerOrNull,
} from '../methods/settings/rules.ts'
import { type MethodSettings, layerRule } from '../methods/settings/settings.ts'
import { activationKinds, precisions } from '../methods/settings/words.ts'
import type { Change } from './history.ts'

/** Fields that every training's configuration has beside its method's settings. */
export interface RunConfig {
  readonly method: string
  readonly preset: string
  /** The data set, as --data names it; in config.json with an absolute path. */
  readonly data: string
  /** The same path as it is seen from the run folder. */
  readonly dataFromRun?: string
  /** Side of the views, and of the images that are loaded from a folder, in pixels. */
  readonly size: number
  /** How many training images are used; null for all. */
  readonly subset: number | null
  readonly seed: number
  /** Arithmetic of convolutions and matrix products, the kNN measurements' included. */
  readonly precision: Precision
  /** How activations are kept for the backward pass. */
  readonly activations: Activations
  /** kNN: every how many epochs, over how many neighbours (null: 200, or a fiftieth of a small
   *  bank), with how many training images as bank and how many test images (null for all), of the
   *  output of which layer. */
  readonly knn: {
    readonly every: number
    readonly k: number | null
    readonly temperature: number
    readonly bank: number | null
    readonly queries: number | null
    readonly layer?: 'features' | 'embedding'
  }
  /** Steps between checkpoints; 0 for once an epoch. */
  readonly checkpointEvery: number
  /** Kindred's version, Node's, and the adapter that the run began on. */
  readonly about?: { readonly adapter?: string }
  /** Changes of settings since the run began, in order. */
  readonly history?: readonly Change[]
}

/** Everything that decides a training's numbers, as config.json holds it. `S` are the settings of
 *  its method. */
export type TrainConfig<S extends MethodSettings = MethodSettings> = RunConfig & S

const count = integerOrNull(1)

/** A training's measurements. */
const knn = fields({
  every: integer(0),
  k: count,
  temperature: positiveNumber,
  bank: count,
  queries: count,
  layer: layerRule,
})

const values = fields({ from: v.unknown(), to: v.unknown() })
const change = fields({ step: integer(0), changes: v.record(v.string(), values, 'an object') })

/** The fields of every training. */
const run = {
  preset: anyText,
  data: anyText,
  dataFromRun: v.exactOptional(anyText),
  size: integer(1, 8192),
  subset: count,
  seed: integer(0, 0xffffffff),
  precision: v.optional(wordOf(...precisions), 'f32'),
  activations: v.optional(wordOf(...activationKinds), 'f32'),
  checkpointEvery: integer(0),
  about: v.exactOptional(v.looseObject({ adapter: v.exactOptional(anyText) }, 'an object')),
  history: v.exactOptional(v.array(change, 'a list of changes')),
  knn,
}

/** The rule of a configuration by this method. */
export const schemaOf = ({ name, rules }: Method): v.GenericSchema<unknown, TrainConfig> => {
  const schema: unknown = fields({ method: wordOf(name), ...run, ...rules })
  return schema as v.GenericSchema<unknown, TrainConfig> // as the method's rules say
}
