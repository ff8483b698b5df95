// The names of variables, by which trace, summary and findNaN tell layers.

import type { Tensor } from '../kernels/op.ts'
import type { Named } from './named.ts'

const names = new WeakMap<Tensor, string>()

/** Notes the names of variables. Later ones replace earlier ones. */
export function nameVariables(named: Named) {
  for (const [name, variable] of Object.entries(named)) names.set(variable, name)
}

/** Returns the name of a variable, if something noted one. */
export const variableName = (variable: Tensor): string | undefined => names.get(variable)
