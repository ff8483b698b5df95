// The fields of a configuration, each with its rule: those of every training, and the method's.

import * as v from 'valibot'
import type { Activations, Precision } from '../kernels/op.ts'
import type { Method } from '../methods/entry.ts'
import {
  bool,
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

/** Fields of every configuration besides its method's settings. */
export interface RunConfig {
  readonly method: string
  readonly preset: string
  /** Data set, as --data names it; with an absolute path in config.json. */
  readonly data: string
  /** Its path relative to the run folder. */
  readonly dataFromRun?: string
  /** Side of the views, and of images from a folder, in pixels. */
  readonly size: number
  /** Number of training images; null for all. */
  readonly subset: number | null
  readonly seed: number
  /** Arithmetic of convolutions and matrix products, the kNN measurements' included. */
  readonly precision: Precision
  /** Format of the activations that the backward pass needs. */
  readonly activations: Activations
  /** Settings of the kNN measurements. */
  readonly knn: {
    /** Epochs between measurements; 0 for only at the end. */
    readonly every: number
    /** Neighbours that vote; null for 200, or a fiftieth of a small bank. */
    readonly k: number | null
    readonly temperature: number
    /** Training images in the bank; null for all. */
    readonly bank: number | null
    /** Test images; null for all. */
    readonly queries: number | null
    /** Output that is compared: the encoder's (the default) or the head's. */
    readonly layer?: 'features' | 'embedding'
    /** True fits a linear probe to the same features too. Older runs leave it out. */
    readonly probe?: boolean
  }
  /** Steps between checkpoints; 0 for once an epoch. */
  readonly checkpointEvery: number
  /** Versions of Kindred and Node, and the adapter on which the run began. */
  readonly about?: { readonly adapter?: string }
  /** Changes of settings since the run began, in order. */
  readonly history?: readonly Change[]
}

/** A configuration, which decides every number of a training. config.json holds it. `S` are the
 *  settings of the method. */
export type TrainConfig<S extends MethodSettings = MethodSettings> = RunConfig & S

const count = integerOrNull(1)

/** The rule of the kNN settings. */
const knn = fields({
  every: integer(0),
  k: count,
  temperature: positiveNumber,
  bank: count,
  queries: count,
  layer: layerRule,
  probe: v.exactOptional(bool),
})

const values = fields({ from: v.unknown(), to: v.unknown() })
const change = fields({ step: integer(0), changes: v.record(v.string(), values, 'an object') })

/** The rules of the fields of every training. */
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

/** Returns the rule of a method's configurations. */
export const schemaOf = ({ name, rules }: Method): v.GenericSchema<unknown, TrainConfig> => {
  const schema: unknown = fields({ method: wordOf(name), ...run, ...rules })
  return schema as v.GenericSchema<unknown, TrainConfig> // the method's rules make S
}
