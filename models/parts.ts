// Collects the variables of models, towers and names into one map, as optimizers, checkpoints and
// methods take them.

import type { Variable } from '../kernels/op.ts'
import { describe, variable as isVariable } from '../kernels/options.ts'
import type { Named } from '../engine/optim/optimizer.ts'
import type { Model } from './model.ts'

/** An encoder f and a head g: images x [N, H, W, 3] -> features h = f(x) [N, F] -> embeddings
 *  z = g(h) [N, D]. */
export interface Tower {
  readonly encoder: Model
  readonly head: Model
}

/** Something with parameters: a model, a tower, a variable, or several of these by name. */
export type Parts = Model | Tower | Variable | { readonly [name: string]: Parts }

/** Collects every parameter of the parts, by name. A model, and a tower `{ encoder, head }`, use
 *  the model's own names. Several parts by name prefix theirs: 'image.conv1.weight'. Throws Error
 *  when two parameters have the same name, and TypeError for anything else. */
export const parametersOf = (parts: Parts): Named =>
  collected('parametersOf', parts, ({ parameters }) => parameters)

/** Lists the parameters like `parametersOf`, but lets two have the same name. */
export const entriesOf = (
  owner: string,
  parts: Parts,
): (readonly [name: string, variable: Variable])[] =>
  within<Variable>(owner, parts, '', ({ parameters }) => parameters)

/** Tells whether this is a model: it has parameters and a forward. */
export const isModel = (part: unknown): part is Model =>
  typeof part === 'object' && part !== null && 'parameters' in part && 'forward' in part

/** Collects what `take` returns for every model of the parts, and the parts' own variables, by
 *  name. Throws like `parametersOf`. */
export function collected<T>(
  owner: string,
  parts: Parts,
  take: (model: Model) => Readonly<Record<string, T>>,
): Record<string, T | Variable> {
  const found: Record<string, T | Variable> = {}
  for (const [name, one] of within(owner, parts, '', take)) {
    if (Object.hasOwn(found, name))
      throw new Error(
        `${owner}: ${name} is the name of two; give each part a name of its own, such as ${owner}({ image: ..., text: ... })`,
      )
    found[name] = one
  }
  return found
}

function within<T>(
  owner: string,
  part: Parts,
  name: string,
  take: (model: Model) => Readonly<Record<string, T>>,
  called = name || 'the argument',
): (readonly [name: string, one: T | Variable])[] {
  if (isVariable.fits(part)) return [[name, part as Variable]]
  const behind = (inner: string) => (name === '' ? inner : `${name}.${inner}`)
  if (isModel(part))
    return Object.entries(take(part)).map(([inner, one]) => [behind(inner), one] as const)
  if (typeof part !== 'object' || part === null || Array.isArray(part) || 'gpu' in part)
    throw new TypeError(
      `${owner}: ${called} must be a model, a variable, or several of them by name, got ${describe(part)}`,
    )
  const inside: (readonly [name: string, part: Parts])[] = Object.entries(part)
  const isTower =
    inside.length === 2 &&
    ['encoder', 'head'].every((key) => key in part) &&
    !inside.some(([, one]) => isVariable.fits(one))
  return inside.flatMap(([inner, one]) =>
    within(owner, one, isTower ? name : behind(inner), take, behind(inner)),
  )
}
