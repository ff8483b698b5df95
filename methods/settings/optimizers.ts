// The optimizers that a setting may name, each with its rules and what it makes.

import * as v from 'valibot'
import { type FlatOptimizer, type Named, Adam, Lars, Sgd } from '../../engine/optim/optimizer.ts'
import { belowOne, nonNegative, fraction } from './rules.ts'
import { type Table, rowOf, rowRule } from './table.ts'

/** Settings of an optimizer. */
export interface OptimizerSettings {
  readonly name: string
  readonly weightDecay: number
  /** SGD and LARS; 0.9 by default. */
  readonly momentum?: number
  /** Adam; 0.9 and 0.999 by default. */
  readonly betas?: readonly [number, number]
}

/** A row of the table. */
export interface OptimizerRow {
  /** Rules of its own settings, beside `name` and `weightDecay`. */
  readonly rules: v.ObjectEntries
  readonly make: (parameters: Named, settings: OptimizerSettings) => FlatOptimizer
}

const momentum = v.exactOptional(fraction)
const betas = v.exactOptional(v.strictTuple([belowOne, belowOne], 'two numbers'))

/** The optimizers by name. Add a row and `optimizer.name` takes it. */
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

/** The optimizer that the settings name, over these parameters. */
export const optimizerOf = (
  { optimizer }: { readonly optimizer: OptimizerSettings },
  parameters: Named,
): FlatOptimizer => rowOf('optimizer.name', optimizers, optimizer.name).make(parameters, optimizer)
