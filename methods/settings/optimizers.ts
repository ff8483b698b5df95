// The optimizers by name, each with its rules and its maker.

import * as v from 'valibot'
import type { Variable } from '../../kernels/op.ts'
import {
  type FlatOptimizer,
  type Named,
  Adam,
  AdamW,
  Lars,
  Sgd,
} from '../../engine/optim/optimizer.ts'
import { biasOrNorm } from '../../engine/optim/optimizer-options.ts'
import { belowOne, nonNegative, fraction } from './rules.ts'
import { type Table, rowOf, rowRule } from './table.ts'

/** Settings of an optimizer. */
export interface OptimizerSettings {
  readonly name: string
  readonly weightDecay: number
  /** Momentum of SGD and LARS; 0.9 by default. */
  readonly momentum?: number
  /** Betas of Adam and AdamW; 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number]
}

/** A row of the table. */
export interface OptimizerRow {
  /** Rules of its own settings besides `name` and `weightDecay`. */
  readonly rules: v.ObjectEntries
  readonly make: (parameters: Named, settings: OptimizerSettings) => FlatOptimizer
}

const momentum = v.exactOptional(fraction)
const betas = v.exactOptional(v.strictTuple([belowOne, belowOne], 'two numbers'))

/** Parameters that timm trains without weight decay: biases, norms, the class token, positions. */
const isUndecayed = (name: string, parameter: Variable) =>
  biasOrNorm(name, parameter) || /(^|\.)(cls_token|pos_embed)$/.test(name)

/** The optimizers by name. A new row is a new value of `optimizer.name`. */
export const optimizers: Table<OptimizerRow> = new Map<string, OptimizerRow>([
  [
    'adam',
    {
      rules: { betas },
      make: (parameters, { weightDecay, betas: given }) =>
        new Adam(parameters, { weightDecay, ...(given && { betas: given }) }),
    },
  ],
  [
    'adamw',
    {
      rules: { betas },
      make: (parameters, { weightDecay, betas: given }) =>
        new AdamW(parameters, {
          ...{ weightDecay, treat: (...of) => (isUndecayed(...of) ? { weightDecay: 0 } : {}) },
          ...(given && { betas: given }),
        }),
    },
  ],
  [
    'lars',
    {
      rules: { momentum },
      make: (parameters, { weightDecay, momentum: m = 0.9 }) =>
        new Lars(parameters, { weightDecay, momentum: m }),
    },
  ],
  [
    'sgd',
    {
      rules: { momentum },
      make: (parameters, { weightDecay, momentum: m = 0.9 }) =>
        new Sgd(parameters, { weightDecay, momentum: m }),
    },
  ],
])

/** The rule of an optimizer's settings. */
export const optimizerFields = rowRule<OptimizerSettings>(optimizers, { weightDecay: nonNegative })

/** Makes the optimizer of the settings over these parameters. */
export const optimizerOf = (
  { optimizer }: { readonly optimizer: OptimizerSettings },
  parameters: Named,
): FlatOptimizer => rowOf('optimizer.name', optimizers, optimizer.name).make(parameters, optimizer)
