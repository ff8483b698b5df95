// Whether an optimizer trains what a method is to train.

import type { Variable } from '../kernels/op.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import { type Parts, entriesOf } from '../models/parts.ts'

const MOST = 4 // names in a message

/** Throws Error, in the name of `method`, for parameters of `trained` that the optimizer lacks
 *  and that are not said to be frozen, and for frozen ones that it has. An optimizer without
 *  `parameters`, one of the user's own, is taken at its word. */
export function checkTrained(
  method: string,
  optimizer: Optimizer,
  trained: Parts,
  frozen: Parts | readonly Parts[] = [],
) {
  const { parameters } = optimizer
  if (parameters === undefined) return
  const updated = new Set(Object.values(parameters))
  const still = new Set<Variable>()
  for (const part of isList(frozen) ? frozen : [frozen])
    for (const [name, variable] of entriesOf(method, part)) {
      if (updated.has(variable))
        throw new Error(
          `${method}: ${name} is said to be frozen, and the optimizer has it; make the optimizer without it`,
        )
      still.add(variable)
    }
  const needed = entriesOf(method, trained)
  const missing = needed.filter(([, variable]) => !updated.has(variable) && !still.has(variable))
  if (missing.length === 0) return
  const names = missing.slice(0, MOST).map(([name]) => name)
  const more = missing.length > MOST ? ` and ${missing.length - MOST} more` : ''
  throw new Error(
    `${method}: the optimizer lacks ${missing.length} of ${needed.length} parameters, ${names.join(', ')}${more}; make it of parametersOf({ encoder, head }), or name what is not to be trained, as in frozen: [encoder]`,
  )
}

const isList = (frozen: Parts | readonly Parts[]): frozen is readonly Parts[] =>
  Array.isArray(frozen)
