// config.json as data: the fields that every run has, each with its rule, and those of its method.

import * as v from 'valibot'
import { settingsOf } from '../methods/schemas/methods.ts'
import { fields, oneOf, positive, text, whole, wholeOrNull } from '../methods/schemas/rules.ts'

const count = wholeOrNull(1)

/** A run's measurements. */
const knn = {
  every: whole(0),
  k: count,
  temperature: positive,
  bank: count,
  queries: count,
}

const values = fields({ from: v.unknown(), to: v.unknown() })
const change = fields({ step: whole(0), changes: v.record(v.string(), values, 'an object') })

/** What every run has. */
const run = {
  preset: text,
  data: text,
  dataFromRun: v.exactOptional(text),
  size: whole(1, 8192),
  subset: count,
  seed: whole(0, 0xffffffff),
  precision: v.optional(oneOf('f32', 'f16x3', 'f16'), 'f32'),
  activations: v.optional(oneOf('f32', 'f16'), 'f32'),
  checkpointEvery: whole(0),
  about: v.exactOptional(v.looseObject({ adapter: v.exactOptional(text) }, 'an object')),
  history: v.exactOptional(v.array(change, 'a list of changes')),
}

const layered = fields({ ...knn, layer: v.exactOptional(oneOf('features', 'embedding')) })

/** config.json by the method that it names. */
export const runSchemas = {
  simclr: fields({ method: oneOf('simclr'), ...run, knn: layered, ...settingsOf.simclr }),
  moco: fields({ method: oneOf('moco'), ...run, knn: layered, ...settingsOf.moco }),
  'memory-bank': fields({
    method: oneOf('memory-bank'),
    ...run,
    knn: layered,
    ...settingsOf['memory-bank'],
  }),
  'end-to-end': fields({
    method: oneOf('end-to-end'),
    ...run,
    knn: layered,
    ...settingsOf['end-to-end'],
  }),
  amdim: fields({ method: oneOf('amdim'), ...run, knn: fields(knn), ...settingsOf.amdim }),
}
